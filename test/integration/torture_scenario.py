#!/usr/bin/env python3
"""An HA 2 volume under verified load while everything around it fails and comes back, in turn.

At the end: no I/O error, no verify error, a clean filesystem, and replicas that are equal.
"""
import random
import sys
import time

from cluster_test import Failure, Fio, main, mounted, say

VOLUME = "torture"
SECONDS_OF_FAULT = {"short": 6, "medium": 30, "long": 60}
ROUNDS = {"short": 1, "medium": 1, "long": 6}


class Torture:
    def __init__(self, cluster, options):
        self.cluster = cluster
        self.local, self.remote, self.spare = cluster.nodes
        self.fault_seconds = SECONDS_OF_FAULT[options.length]
        self.rounds = ROUNDS[options.length]
        self.random = random.Random(options.seed)
        self.snapshots = 0
        self.fio = None

    def let_it_run(self, seconds=None):
        end = time.monotonic() + (seconds or self.fault_seconds)
        while time.monotonic() < end:
            self.fio.check_running()
            time.sleep(0.2)

    def wait_in_sync(self, count):
        self.cluster.wait_in_sync(VOLUME, count, seconds=300, node=self.local)
        self.fio.check_running()

    def remote_node_crashes(self):
        self.cluster.crash(self.remote)
        self.let_it_run()
        self.cluster.start(self.remote)
        self.wait_in_sync(2)

    def local_daemon_is_killed(self):
        end = time.monotonic() + 2 * self.fault_seconds
        while time.monotonic() < end:
            self.local.signal("KILL", "cleatd")
            self.let_it_run(self.random.uniform(1, 4))
        self.wait_in_sync(2)

    def remote_daemon_is_killed(self):
        self.remote.signal("KILL", "cleatd")
        self.let_it_run()
        self.wait_in_sync(2)

    def link_is_cut(self):
        self.cluster.isolate(self.remote)
        self.let_it_run()
        self.cluster.heal(self.remote)
        self.wait_in_sync(2)

    def link_flaps(self):
        for _ in range(3):
            self.cluster.isolate(self.remote)
            self.let_it_run(self.random.uniform(0.5, 4))
            self.cluster.heal(self.remote)
            self.let_it_run(self.random.uniform(0.5, 4))
        self.wait_in_sync(2)

    def etcd_stops(self):
        say("etcd: stopped on every node")
        for node in self.cluster.nodes:
            node.signal("STOP", "etcd")
        self.let_it_run()
        say("etcd: goes on")
        for node in self.cluster.nodes:
            node.signal("CONT", "etcd")
        self.cluster.wait_online(node=self.local)
        self.wait_in_sync(2)

    def replica_comes_and_goes(self):
        say("a third replica")
        self.local.cleat("volume", "ha-update", VOLUME, "--ha", "3", "--node", self.spare.name)
        self.wait_in_sync(3)
        say("and away with it")
        self.local.cleat("volume", "ha-update", VOLUME, "--ha", "2", "--node", self.spare.name)
        self.wait_in_sync(2)

    def snapshots_come_and_go(self):
        names = []
        for _ in range(4):
            self.snapshots += 1
            names.append(f"{VOLUME}.snap{self.snapshots}")
            say(f"snapshot {names[-1]}")
            self.local.cleat("volume", "snapshot", "create", VOLUME, "--name", names[-1])
            self.let_it_run(self.fault_seconds / 4)
        self.random.shuffle(names)
        for name in names:
            say(f"snapshot {name}: deleted")
            self.local.cleat("volume", "snapshot", "delete", name)
            self.let_it_run(0.5)

    def all_faults(self):
        return [
            self.remote_node_crashes,
            self.local_daemon_is_killed,
            self.remote_daemon_is_killed,
            self.link_is_cut,
            self.link_flaps,
            self.etcd_stops,
            self.replica_comes_and_goes,
            self.snapshots_come_and_go,
        ]

    def go_through_faults(self):
        for number in range(self.rounds):
            faults = self.all_faults()
            if number > 0:
                self.random.shuffle(faults)
            for fault in faults:
                say(f"round {number + 1}: {fault.__name__.replace('_', ' ')}")
                begin = time.monotonic()
                fault()
                say(f"  done in {time.monotonic() - begin:.1f} s")

    def load_and_faults(self, path):
        self.fio = Fio(self.local, path, seed=self.random.getrandbits(31))
        try:
            self.let_it_run(2)
            self.go_through_faults()
            self.let_it_run(2)
            report = self.fio.finish()
        except BaseException:
            self.fio.kill()
            raise
        writes, reads = report["write"]["total_ios"], report["read"]["total_ios"]
        if writes == 0 or reads == 0:
            raise Failure("fio wrote or verified nothing")
        say(f"fio: {writes} writes, {reads} reads verified, no error")


def check_filesystem(node, device):
    status, output = node.attempt("e2fsck", "-f", "-n", device, seconds=600)
    if status != 0:
        raise Failure(f"e2fsck -fn: status {status}: {output}")
    say("e2fsck: clean")


def run(cluster, options):
    local, remote, _ = cluster.nodes
    nodes = f"{local.name},{remote.name}"
    local.cleat("volume", "create", VOLUME, "--size", "2Gi", "--ha", "2", "--nodes", nodes)
    device = local.attach(VOLUME)
    local.run("mkfs.ext4", "-q", device)
    with mounted(local, VOLUME, device) as path:
        local.shell(f"head -c 64M /dev/urandom >{path}/still && sync {path}/still")
        digest = local.run("sha256sum", f"{path}/still")
        Torture(cluster, options).load_and_faults(path)
    with mounted(local, VOLUME, device) as path:
        if local.run("sha256sum", f"{path}/still") != digest:
            raise Failure("a file that nobody touched has changed")
    check_filesystem(local, device)
    local.detach(VOLUME)
    say(local.cleat("volume", "check", VOLUME, seconds=600).strip())


if __name__ == "__main__":
    sys.exit(main(run, __doc__, lengths=tuple(ROUNDS)))
