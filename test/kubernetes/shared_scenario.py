#!/usr/bin/env python3
"""One volume in pods on several nodes at once: a device that all of them write, also when the
primary's node dies under them, and a file system that all of them read.
"""
import sys
import time

from kubernetes_test import Failure, NODES, check_file, claim, main, pod, restore_nodes, say
from kubernetes_test import wait_until, write_file

DEVICE = "/dev/data"
DIRECT = "bs=1M count=16 status=none"
LOAD_SECONDS = 60


def written_by(lab, name, seek):
    """The digest of 16 MiB that a pod writes at a place of the device."""
    return lab.shell(
        name,
        f"head -c 16M /dev/urandom >/tmp/data; dd if=/tmp/data of={DEVICE} oflag=direct,dsync "
        f"seek={seek} {DIRECT}; sha256sum </tmp/data",
    )


def read_by(lab, name, seek):
    return lab.shell(name, f"dd if={DEVICE} iflag=direct skip={seek} {DIRECT} | sha256sum")


def check_both_ways(lab, pods):
    """What one writes the others read, on each node."""
    for seek, writer in enumerate(pods):
        digest = written_by(lab, writer, 16 * seek)
        for reader in pods:
            if read_by(lab, reader, 16 * seek) != digest:
                raise Failure(f"{reader} does not read what {writer} wrote")
    say(f"{' and '.join(pods)} read what each of them wrote")


def device_of_many(lab):
    on = {"first": NODES[1], "second": NODES[2]}
    lab.apply(claim("disk", mode="Block", access="ReadWriteMany"))
    for name, node in on.items():
        lab.apply(pod(name, "disk", node=node, device=DEVICE))
        lab.wait_ready(name)
    check_both_ways(lab, on)
    lab.delete("pod", "first")
    check_both_ways(lab, ["second"])
    lab.apply(pod("first", "disk", node=NODES[1], device=DEVICE))
    lab.wait_ready("first")
    check_both_ways(lab, on)
    return lab.volume_of("disk")


def primary_of(lab, volume):
    shown = lab.nodes[NODES[0]].cleat_json("volume", "inspect", volume)[0]
    return shown["attachment"]["node"]


def primary_dies(lab, volume):
    """The pod on the other node writes on: a pause, no error."""
    lost = primary_of(lab, volume)
    survivor = "first" if lost == NODES[2] else "second"
    script = (
        f"end=$((SECONDS + {LOAD_SECONDS})); n=0; longest=0; while ((SECONDS < end)); do "
        f"begin=$(date +%s%N); dd if=/dev/zero of={DEVICE} bs=4k count=1 seek=$((n % 4096)) "
        "oflag=direct,dsync status=none; took=$(($(date +%s%N) - begin)); "
        "((took > longest)) && longest=$took; n=$((n + 1)); done; echo $n $longest"
    )
    load = lab.start_shell(survivor, script)
    time.sleep(5)
    lab.act("crash", lost)
    begin = time.monotonic()
    wait_until(lambda: primary_of(lab, volume) != lost, 90, "another primary")
    say(f"{primary_of(lab, volume)} is primary {time.monotonic() - begin:.1f} s after the crash")
    output, _ = load.communicate(timeout=LOAD_SECONDS + 120)
    if load.returncode != 0:
        raise Failure(f"{survivor} had an error when {lost} died")
    count, longest = output.split()
    say(f"{survivor}: {count} writes, no error, the longest pause {int(longest) / 1e9:.1f} s")
    wait_until(lambda: lab.is_marked(lost), 120, f"{lost} is marked as out of service")
    restore_nodes(lab)


def file_system_of_many(lab):
    lab.apply(claim("files"), pod("writer", "files"))
    lab.wait_ready("writer")
    digest = write_file(lab, "writer")
    lab.delete("pod", "writer")
    source = {"kind": "PersistentVolumeClaim", "name": "files"}
    lab.apply(claim("library", access="ReadOnlyMany", source=source))
    readers = {f"reader-{number}": node for number, node in enumerate(NODES)}
    for name, node in readers.items():
        lab.apply(pod(name, "library", node=node))
    for name in readers:
        lab.wait_ready(name)
        check_file(lab, name, digest)
        if "refused" not in lab.shell(name, "touch /data/new 2>/dev/null || echo refused"):
            raise Failure(f"{name}: a file system that is published for reading was written")
    say("a file system is read on every node, and written on none")


def run(lab):
    volume = device_of_many(lab)
    primary_dies(lab, volume)
    for name in ("first", "second"):
        lab.delete("pod", name, "--ignore-not-found", "--grace-period", "1")
    file_system_of_many(lab)


if __name__ == "__main__":
    sys.exit(main(run, __doc__))
