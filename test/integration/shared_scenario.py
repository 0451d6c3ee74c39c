#!/usr/bin/env python3
"""A shared volume is used on three nodes at once, while processes and nodes of it end (ADR 9).

The history of all reads and writes must be one that a single disk could give, and a node that did
nothing wrong sees a pause, never an error.
"""
import sys
import time

import history
from cluster_test import ROOT, Failure, check_history, main, say, wait_until

VOLUME = "common"
PROBE = ROOT / "test" / "integration" / "register_probe.py"


class Load:
    """A probe on each of some nodes, for a while."""

    def __init__(self, cluster, nodes, devices, seconds, first_value):
        self.cluster = cluster
        self.processes = {}
        self.logs = {}
        places = {node.name: number for number, node in enumerate(cluster.nodes)}
        for node in nodes:
            log = cluster.directory / f"probe-{node.name}-{first_value}.log"
            place = places[node.name]
            command = ["python3", str(PROBE), devices[node.name], str(log)]
            command += [str(first_value + place * 100_000_000), str(seconds)]
            command += [str(place), str(len(places))]
            self.processes[node.name] = node.start_command(command)
            self.logs[node.name] = log

    def finish(self, spared):
        """Waits for all; the nodes in `spared` must have had no error, and done something."""
        for name, process in self.processes.items():
            if process.wait(timeout=120) != 0 and name in spared:
                raise Failure(f"{name}: the probe ended with status {process.returncode}")
        for name in spared:
            blocks = history.load(self.logs[name])
            errors = sum(history.count(blocks, f"{kind} error") for kind in ("read", "write"))
            if errors:
                raise Failure(f"{name}: {errors} operations failed")
            if not history.count(blocks, "write") or not history.count(blocks, "read"):
                raise Failure(f"{name}: it served nothing")
            say(f"{name}: longest pause {self._longest_pause(blocks):.2f} s")

    @staticmethod
    def _longest_pause(blocks):
        done = [o for operations in blocks.values() for o in operations if "end" in o]
        return max(o["end"] - o["begin"] for o in done) / 1e9


def primary(cluster, node=None):
    return cluster.volume(VOLUME, node)["attachment"]["node"]


def roles(cluster):
    """The primary's node, and the others."""
    name = primary(cluster)
    first = next(node for node in cluster.nodes if node.name == name)
    return first, [node for node in cluster.nodes if node is not first]


def attached(cluster, node=None):
    volume = cluster.volume(VOLUME, node)
    sharers = volume.get("shared_attachments", [])
    return {volume["attachment"]["node"], *(entry["node"] for entry in sharers)}


def processes_killed(cluster, devices, logs):
    """kill -9 of the cleatd of a sharer, then of the primary."""
    load = Load(cluster, cluster.nodes, devices, 20, 0)
    time.sleep(3)
    first, others = roles(cluster)
    for node in (others[0], first):
        say(f"{node.name}: cleatd is killed")
        node.signal("KILL", "cleatd")
        time.sleep(6)
    load.finish([node.name for node in cluster.nodes])
    logs += load.logs.values()


def primary_detached(cluster, devices, logs):
    """The device of the primary goes: another sharer becomes primary."""
    first, others = roles(cluster)
    load = Load(cluster, others, devices, 12, 1_000_000_000)
    time.sleep(2)
    first.cleat("host", "detach", VOLUME, "--node", first.name)
    say(f"{first.name}: detached; the primary is {primary(cluster)}")
    if attached(cluster) != {node.name for node in others}:
        raise Failure(f"attached on {attached(cluster)}")
    load.finish([node.name for node in others])
    logs += load.logs.values()
    devices[first.name] = first.attach(VOLUME)


def primary_lost(cluster, devices, logs):
    """The primary's node dies: the others wait for the next primary, and go on."""
    lost, others = roles(cluster)
    load = Load(cluster, cluster.nodes, devices, 40, 2_000_000_000)
    time.sleep(3)
    cluster.crash(lost)
    begin = time.monotonic()
    wait_until(lambda: primary(cluster, others[0]) != lost.name, 60, "another primary")
    say(f"{primary(cluster, others[0])} is primary {time.monotonic() - begin:.1f} s later")
    load.finish([node.name for node in others])
    logs += load.logs.values()
    cluster.start(lost)
    cluster.wait_online(node=others[0])
    left = {node.name for node in others}
    wait_until(lambda: attached(cluster) == left, 60, "the lost node is off the volume")
    devices[lost.name] = lost.attach(VOLUME)


def sharer_cut_off(cluster, devices, logs):
    """A sharer that can't be reached is expelled when others wait for it."""
    first, (cut, other) = roles(cluster)
    others = [first, other]
    load = Load(cluster, cluster.nodes, devices, 40, 3_000_000_000)
    time.sleep(3)
    cluster.isolate(cut)
    time.sleep(25)
    cluster.heal(cut)
    load.finish([node.name for node in others])
    logs += load.logs.values()
    cluster.wait_online(node=others[0])


def run(cluster, options):
    first, second, _ = cluster.nodes
    create = ["volume", "create", VOLUME, "--size", "512M", "--ha", "2", "--shared"]
    first.cleat(*create, "--nodes", f"{first.name},{second.name}")
    # The first primary has no replica.
    devices = {node.name: node.attach(VOLUME) for node in reversed(cluster.nodes)}
    logs = []
    for step in (processes_killed, primary_detached, primary_lost, sharer_cut_off):
        say(step.__doc__)
        step(cluster, devices, logs)
        check_history(logs)
        cluster.wait_in_sync(VOLUME, 2)
    second.cleat("host", "detach", VOLUME, "--force")
    say(first.cleat("volume", "check", VOLUME, seconds=600).strip())


if __name__ == "__main__":
    sys.exit(main(run, __doc__))
