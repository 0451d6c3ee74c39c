#!/usr/bin/env python3
"""What a person has to decide: the last good replica is gone, etcd is lost, a node stays away.

Nothing is given up without the person's word, and with it the volume serves what is left.
"""
import sys

from cluster_test import Failure, main, mounted, say, wait_until

DELAY_SECONDS = 3


def must_fail(node, words, *arguments):
    status, output = node.attempt("cleat", *arguments)
    if status == 0 or words not in output:
        raise Failure(f"cleat {' '.join(arguments)}: status {status}, not refused: {output}")
    say(f"refused as it must be: {output.strip().splitlines()[-1]}")


def write_file(node, path, name):
    return node.shell(
        f"head -c 16M /dev/urandom >{path}/{name}; sync {path}/{name}; sha256sum <{path}/{name}"
    )


def make_volume(node, name, nodes):
    node.cleat("volume", "create", name, "--size", "1Gi", "--ha", "2", "--nodes", nodes)
    device = node.attach(name)
    node.run("mkfs.ext4", "-q", device)
    return device


def check_file(node, volume, name, digest):
    device = node.attach(volume)
    with mounted(node, volume, device) as path:
        if node.shell(f"sha256sum <{path}/{name}") != digest:
            raise Failure(f"{volume}: {name} is not what was written")
    node.detach(volume)


def wait_no_replicas(cluster):
    """Also what a volume left behind on a node that was down: inspect asks the pool itself."""
    node = cluster.nodes[0]

    def none_left():
        pools = node.cleat_json("pool", "list")["pools"]
        held = [node.cleat_json("pool", "inspect", pool["id"]) for pool in pools]
        return all(pool["state"] == "online" and pool["replica_count"] == 0 for pool in held)

    wait_until(none_left, 60, "no pool holds a replica")


def salvage(cluster):
    """Only a replica that misses writes is left: it serves on a person's word alone."""
    first, second, third = cluster.nodes
    device = make_volume(first, "salvaged", f"{first.name},{second.name}")
    with mounted(first, "salvaged", device) as path:
        digest = write_file(first, path, "old")
        cluster.crash(second)
        cluster.wait_in_sync("salvaged", 1, node=first)
        write_file(first, path, "new")
    first.detach("salvaged")
    cluster.crash(first)
    cluster.start(second)
    must_fail(third, "no replica in sync answered", "host", "attach", "salvaged")
    must_fail(third, "--accept-data-loss", "volume", "salvage", "salvaged")
    third.cleat("volume", "salvage", "salvaged", "--accept-data-loss")
    check_file(third, "salvaged", "old", digest)
    cluster.start(first)
    cluster.wait_online(node=third)
    cluster.wait_in_sync("salvaged", 2, node=third)
    check_file(first, "salvaged", "old", digest)
    say(third.cleat("volume", "check", "salvaged", seconds=600).strip())
    third.cleat("volume", "delete", "salvaged")
    wait_no_replicas(cluster)


def lose_etcd(cluster):
    """Every member of etcd has lost its data: the replicas' catalogs bring the volumes back."""
    first, second, third = cluster.nodes
    device = make_volume(first, "kept", f"{first.name},{second.name}")
    with mounted(first, "kept", device) as path:
        digest = write_file(first, path, "file")
        first.cleat("volume", "snapshot", "create", "kept", "--name", "kept.snap")
        first.shell(f"rm {path}/file")
        other = write_file(first, path, "later")
    first.detach("kept")
    for node in cluster.nodes:
        cluster.stop(node)
    for node in cluster.nodes:
        for part in ("etcd", "etcd.log"):
            cluster.remove_data(node, part)
    say("the data of every etcd member are gone")
    cluster.start(*cluster.nodes)
    must_fail(first, "kept", "volume", "inspect", "kept")
    wait_until(
        lambda: "--force" in first.attempt("cleat", "cluster", "rebuild-metadata")[1],
        60,
        "an empty etcd is refused",
    )
    say(first.cleat("cluster", "rebuild-metadata", "--force").strip())
    cluster.wait_online()
    check_file(second, "kept", "later", other)
    first.cleat("volume", "restore", "kept", "--snapshot", "kept.snap")
    check_file(first, "kept", "file", digest)
    first.cleat("volume", "snapshot", "delete", "kept.snap")
    first.cleat("volume", "delete", "kept")


def lose_node(cluster):
    """A node that stays away: after a delay its replica is made anew on another."""
    first, second, third = cluster.nodes
    for node in cluster.nodes:
        cluster.set_option(node, "rebuild_delay", f"{DELAY_SECONDS}s")
    device = make_volume(first, "moved", f"{first.name},{second.name}")
    with mounted(first, "moved", device) as path:
        digest = write_file(first, path, "file")
        cluster.crash(second)
        wait_until(
            lambda: cluster.in_sync_nodes("moved") == {first.name, third.name},
            120,
            f"a replica on {third.name} in sync",
        )
        say(f"{third.name} has taken the place of {second.name}")
    first.detach("moved")
    cluster.start(second)
    check_file(third, "moved", "file", digest)
    first.cleat("volume", "delete", "moved")
    wait_no_replicas(cluster)


def run(cluster, _options):
    salvage(cluster)
    lose_etcd(cluster)
    lose_node(cluster)


if __name__ == "__main__":
    sys.exit(main(run, __doc__))
