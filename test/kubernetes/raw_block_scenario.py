#!/usr/bin/env python3
"""A pod gets a volume as a device, without a file system, and so does the next one elsewhere."""
import sys

from kubernetes_test import Failure, NODES, claim, main, pod, say

DEVICE = "/dev/data"
DIRECT = "bs=1M count=16 status=none"


def run(lab):
    lab.apply(claim("disk", mode="Block"), pod("first", "disk", node=NODES[1], device=DEVICE))
    lab.wait_ready("first")
    size = int(lab.shell("first", f"blockdev --getsize64 {DEVICE}"))
    if size != 1 << 30:
        raise Failure(f"{DEVICE} has {size} bytes")
    digest = lab.shell(
        "first",
        f"head -c 16M /dev/urandom >/tmp/data; dd if=/tmp/data of={DEVICE} oflag=direct,dsync "
        f"{DIRECT}; sha256sum </tmp/data",
    )
    lab.delete("pod", "first")
    lab.apply(pod("second", "disk", node=NODES[2], device=DEVICE))
    lab.wait_ready("second")
    found = lab.shell("second", f"dd if={DEVICE} iflag=direct {DIRECT} | sha256sum")
    if found != digest:
        raise Failure("the second pod does not read what the first wrote")
    say(f"written on {NODES[1]}, read on {NODES[2]}")
    lab.delete("pod", "second")


if __name__ == "__main__":
    sys.exit(main(run, __doc__))
