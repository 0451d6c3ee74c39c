#!/usr/bin/env python3
"""Pools that become full: the application gets ENOSPC and everything else goes on, it is said in
words, and space that is freed is used again. A replica whose pool alone is full leaves the set.
"""
import sys

from cluster_test import Failure, main, say, wait_until

PATH = "/run/mnt"


def mount(node, volume):
    node.attach(volume)
    node.cleat("host", "mount", volume, f"{PATH}/{volume}", "-o", "discard")
    return f"{PATH}/{volume}"


def unmount(node, volume):
    node.cleat("host", "unmount", volume)
    node.detach(volume)


def fill(node, device):
    """Writes the device from its start until there is no space; MiB that were written."""
    status, output = node.attempt(
        "dd", "if=/dev/zero", f"of={device}", "bs=1M", "oflag=direct", seconds=300
    )
    if status == 0 or "No space left" not in output:
        raise Failure(f"a full pool must be ENOSPC: status {status}: {output}")
    return int(output.split("+")[0].split()[-1])


def finding_about_pools(node):
    findings = node.cleat_json("status")["findings"]
    return [finding for finding in findings if "full" in finding["what"]]


def pool_of(node):
    pools = node.cleat_json("pool", "list", "--node", node.name)["pools"]
    return next(pool for pool in pools if pool["node"] == node.name)


def used_bytes(node):
    return int(pool_of(node)["capacity"]["used_bytes"])


def check_full_everywhere(first):
    """Both pools are full: ENOSPC, the replicas stay equal, and a discard makes room."""
    keep = mount(first, "keep")
    digest = first.shell(
        f"head -c 16M /dev/urandom >{keep}/a; sync {keep}/a; sha256sum <{keep}/a"
    )
    device = first.attach("big")
    written = fill(first, device)
    say(f"full after {written} MiB")
    wait_until(lambda: finding_about_pools(first), 30, "status says that pools are full")
    say(finding_about_pools(first)[0]["what"])
    if not first.pids("cleatd"):
        raise Failure("cleatd is gone")
    if first.shell(f"dd if={keep}/a bs=1M iflag=direct status=none | sha256sum") != digest:
        raise Failure(f"{keep}/a is not what was written")
    first.run("dd", "if=/dev/zero", f"of={device}", "bs=1M", "count=4", "oflag=direct")
    say("reads, and writes to what is there, go on")
    before = used_bytes(first)
    first.run("blkdiscard", device)
    wait_until(lambda: used_bytes(first) < before / 2, 60, "the discard frees space")
    wait_until(lambda: not finding_about_pools(first), 60, "status forgets it")
    again = fill(first, device)
    if again < written - 16:
        raise Failure(f"only {again} MiB after the discard, {written} before")
    first.run("blkdiscard", device)
    first.detach("big")
    for name in ("big", "keep"):
        say(first.cleat("volume", "check", name, seconds=600).strip())
    unmount(first, "keep")


def check_full_on_one(cluster):
    """One replica's pool is full of something else: the volume goes on without it."""
    first, second, _ = cluster.nodes
    say(f"full of another volume after {fill(second, second.attach('other'))} MiB")
    device = first.attach("big")
    first.run("dd", "if=/dev/urandom", f"of={device}", "bs=1M", "count=32", "oflag=direct,sync")
    wait_until(lambda: cluster.in_sync_nodes("big") == {first.name}, 30, "the full one left")
    say("goes on without the replica that is full")
    second.detach("other")
    second.cleat("volume", "delete", "other")
    cluster.wait_in_sync("big", 2)
    first.detach("big")
    say(first.cleat("volume", "check", "big", seconds=600).strip())


def run(cluster, options):
    first, second, _ = cluster.nodes
    nodes = f"{first.name},{second.name}"
    first.cleat("volume", "create", "keep", "--size", "128M", "--ha", "2", "--nodes", nodes)
    first.cleat(
        "volume", "create", "big", "--size", "1Gi", "--ha", "2", "--nodes", nodes, "--fs", "none"
    )
    # While its pool is empty: a node that was full a moment ago is passed over.
    second.cleat("volume", "create", "other", "--size", "640M", "--nodes", second.name)
    check_full_everywhere(first)
    check_full_on_one(cluster)


if __name__ == "__main__":
    sys.exit(main(run, __doc__, pool_size="512Mi"))
