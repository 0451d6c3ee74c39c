#!/usr/bin/env python3
"""Volumes share the connection between two nodes. One that is detached, snapshotted or deleted must
not disturb the I/O of its neighbour: no replica of that one leaves.
"""
import re
import sys

from cluster_test import Failure, Fio, main, mounted, say

BUSY = "busy"
OTHER = "other"
PLACE = ["--ha", "2", "--nodes", "cassandra1,cassandra2"]
ROUNDS = {"short": 6, "long": 60}


def failures(cluster):
    """What the log of the first node says of replicas that failed."""
    log = cluster.directory / "nodes" / "cassandra1" / "cleatd.log"
    return [line for line in log.read_text().splitlines() if re.search(r"replica \d+ failed", line)]


def run(cluster, options):
    first = cluster.nodes[0]
    first.cleat("volume", "create", BUSY, "--size", "1Gi", *PLACE)
    with mounted(first, BUSY, attach(first, BUSY)) as path:
        fio = Fio(first, path, size="256M", depth=16)
        for _ in range(ROUNDS[options.length]):
            first.cleat("volume", "create", OTHER, "--size", "64M", *PLACE)
            first.attach(OTHER)
            first.shell(f"dd if=/dev/urandom of=/dev/cleat/{OTHER} bs=1M count=32 oflag=direct")
            first.detach(OTHER)
            first.cleat("volume", "snapshot", "create", OTHER, "--name", "moment")
            first.cleat("volume", "snapshot", "delete", "moment")
            first.cleat("volume", "delete", OTHER)
        fio.finish()
    found = failures(cluster)
    if found:
        raise Failure(f"the neighbour lost a replica {len(found)} times: {found[:3]}")
    first.detach(BUSY)
    say(first.cleat("volume", "check", BUSY).strip())


def attach(node, volume):
    device = node.attach(volume)
    node.run("mkfs.ext4", "-q", "-F", device)
    return device


if __name__ == "__main__":
    sys.exit(main(run, __doc__, pool_size="4Gi"))
