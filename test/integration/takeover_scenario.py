#!/usr/bin/env python3
"""A volume is attached elsewhere while its old node is cut off but alive (R3, R4, R5).

The old device must serve no stale read and acknowledge no write after the takeover: the history of
all reads and writes on both nodes must be one that a single disk could give.
"""
import sys
import time

import history
from cluster_test import ROOT, Failure, check_history, main, say, wait_until

VOLUME = "contested"
PROBE = ROOT / "test" / "integration" / "register_probe.py"
ROUNDS = {"short": 1, "long": 10}


def start_probe(cluster, node, device, first_value, seconds):
    log = cluster.directory / f"probe-{first_value}.log"
    command = ["python3", str(PROBE), device, str(log), str(first_value), str(seconds)]
    return node.start_command(command), log


def take_over(node):
    begin = time.monotonic()
    device = None

    def attached():
        nonlocal device
        device = node.attach(VOLUME, "--force")
        return True

    wait_until(attached, 60, f"{VOLUME} attached on {node.name}")
    say(f"{node.name}: attached after {time.monotonic() - begin:.1f} s")
    return device


def check_new_node_served(log):
    blocks = history.load(log)
    if history.count(blocks, "write") == 0 or history.count(blocks, "read") == 0:
        raise Failure("the new node served nothing after the takeover")


def contest(cluster, old, new, device, number, logs):
    """Moves the volume from `old`, cut off with its device in use, to `new`; the new device."""
    base = number * 2_000_000_000
    old_probe, old_log = start_probe(cluster, old, device, base, 25)
    time.sleep(3)
    cluster.isolate(old)
    time.sleep(1)
    device = take_over(new)
    new_probe, new_log = start_probe(cluster, new, device, base + 1_000_000_000, 10)
    time.sleep(5)
    cluster.heal(old)
    new_probe.wait(timeout=60)
    old_probe.wait(timeout=120)
    check_new_node_served(new_log)
    logs += [old_log, new_log]
    check_history(logs)
    return device


def run(cluster, options):
    old, new, _ = cluster.nodes
    nodes = f"{old.name},{new.name}"
    old.cleat("volume", "create", VOLUME, "--size", "1Gi", "--ha", "2", "--nodes", nodes)
    device = old.attach(VOLUME)
    logs = []
    for number in range(ROUNDS[options.length]):
        device = contest(cluster, old, new, device, number, logs)
        cluster.wait_in_sync(VOLUME, 2, node=new)
        old, new = new, old
    old.detach(VOLUME)
    say(old.cleat("volume", "check", VOLUME, seconds=600).strip())


if __name__ == "__main__":
    sys.exit(main(run, __doc__))
