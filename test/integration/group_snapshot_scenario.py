#!/usr/bin/env python3
"""Snapshots of a group are of one point in time, with a writer that goes from volume to volume.

The volumes are attached on different nodes. Each number is written to the left volume first: so in
the snapshots of a group the left is at the right's number or one ahead. Two plain snapshots, one
after the other, show that the writer would be noticed. A node that dies leaves no half group.
"""
import subprocess
import sys

from cluster_test import ROOT, Failure, main, say, wait_until

PROBE = str(ROOT / "test" / "integration" / "group_probe.py")
ROUNDS = {"short": 5, "long": 50}
WRITE_SECONDS = {"short": 600, "long": 3600}
NAMES = ("left", "right")


def device_of(node, volume):
    """The loop device itself: it can be opened from every node of the lab."""
    return node.run("readlink", "-f", node.attach(volume)).strip()


def number_in(node, snapshot):
    """What the volume held, read from a clone on a node that has no part in the writing."""
    copy = f"copy.{snapshot}"
    node.cleat("volume", "clone", snapshot, "--name", copy)
    device = node.attach(copy)
    number = int(node.run("python3", PROBE, "read", device))
    node.detach(copy)
    node.cleat("volume", "delete", copy)
    return number


def numbers(node, prefix):
    left, right = (number_in(node, f"{prefix}.{name}") for name in NAMES)
    say(f"{prefix}: left {left}, right {right}")
    return left, right


def check_groups(first, reader, rounds):
    held = []
    for i in range(rounds):
        made = first.cleat_json("volume", "snapshot", "group", *NAMES, "--name", f"g{i}")
        held.append(int(made["held_ms"]))
        left, right = numbers(reader, f"g{i}")
        if left - right not in (0, 1) or left == 0:
            raise Failure(f"group g{i} is of no one point in time: left {left}, right {right}")
    say(f"{rounds} groups; writes were held for at most {max(held)} ms")


def check_plain(first, reader):
    for name in NAMES:
        first.cleat("volume", "snapshot", "create", name, "--name", f"plain.{name}")
    left, right = numbers(reader, "plain")
    if left - right in (0, 1):
        raise Failure("one snapshot after the other looks like a group: the writer is too slow")


def check_hooks(cluster, first, second):
    """Hooks run for each volume that has the label, and know where it is attached."""
    for name in NAMES:
        first.cleat("volume", "update", name, "--label", "pair=yes")
    log = cluster.directory / "hooks"
    note = f'echo "%s $CLEAT_VOLUME on $CLEAT_NODE, $CLEAT_LABEL_PAIR" >>{log}'
    hooks = ("--pre-hook", note % "before", "--post-hook", note % "after")
    first.cleat("volume", "snapshot", "create", "--group", "pair=yes", "--name", "hooked", *hooks)
    where = dict(zip(NAMES, (first.name, second.name)))
    times = ("before", "after")
    wanted = [f"{time} {name} on {where[name]}, yes" for time in times for name in NAMES]
    ran = log.read_text().splitlines()
    if sorted(ran[:2]) + sorted(ran[2:]) != wanted:
        raise Failure(f"the hooks that ran: {ran}")
    say("hooks ran before and after")


def snapshots(node):
    listed = node.cleat_json("volume", "snapshot", "list")["snapshots"]
    return sorted(each["name"] for each in listed if each["state"] != "deleting")


def check_half_group(cluster, first, second):
    """The node of one member dies: the group fails, and what it made is taken back."""
    before = snapshots(first)
    cluster.crash(second)
    status, output = first.attempt("cleat", "v", "s", "group", *NAMES, "--name", "half")
    if status != 1:
        raise Failure(f"a group snapshot with a dead member: status {status}: {output}")
    say(f"refused as it must be: {output.strip()}")
    wait_until(lambda: snapshots(first) == before, 90, "no half group is left")
    cluster.start(second)


def run(cluster, options):
    first, second, third = cluster.nodes
    for name in NAMES:
        first.cleat("volume", "create", name, "--size", "1", "--ha", "2")
    devices = [device_of(first, NAMES[0]), device_of(second, NAMES[1])]
    seconds = WRITE_SECONDS[options.length]
    writer = first.start_command(
        ["python3", PROBE, "write", *devices, str(seconds)], stdout=subprocess.PIPE
    )
    try:
        wait_until(lambda: writes(first) > 100, 30, "the writer writes")
        check_groups(first, third, ROUNDS[options.length])
        check_plain(first, third)
        check_hooks(cluster, first, second)
        if writer.poll() is not None:
            raise Failure("the writer ended before the last snapshot")
    finally:
        first.signal("TERM", "python3")
        writer.wait(timeout=30)
    check_half_group(cluster, first, second)


def writes(node):
    return int(node.cleat_json("volume", "stats", NAMES[0])["writes"])


if __name__ == "__main__":
    sys.exit(main(run, __doc__))
