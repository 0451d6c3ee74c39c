#!/usr/bin/env python3
"""All nodes lose their power at once, and each pool's disk everything that was not flushed.

The disks are real files behind a volatile cache: nbdkit's cache filter keeps every write in memory
until a flush, nbdfuse shows it as a file for the pool. After it, every write that was flushed is on
the volume, and its replicas are equal.
"""
import itertools
import os
import signal
import subprocess
import sys
import threading
import time

import flush_probe
from cluster_test import ROOT, Failure, main, say, wait_until

PROBE = str(ROOT / "test" / "integration" / "flush_probe.py")
ROUNDS = {"short": 2, "long": 20}
POOL_BYTES = "2G"
# The cache: everything fits, and what is lost is lost in blocks of a disk.
CACHE = "cache=writeback cache-max-size=4G cache-min-block-size=4096"


class VolatileDisk:
    """A file on a node whose writes are lost with the power unless they were flushed.

    While it has power PATH is the cached disk. Afterwards the same name is the bare image: a second
    name of the file below the mount.
    """

    def __init__(self, node, name):
        self.node = node
        self.path = f"/var/lib/cleat/{name}"
        self.image = f"{self.path}.img"
        self.socket = f"/run/{name}.sock"
        node.shell(f"truncate -s {POOL_BYTES} {self.image}; ln {self.image} {self.path}")
        self.processes = [
            self._start(f"nbdkit -f -U {self.socket} --filter=cache file {self.image} {CACHE}")
        ]
        wait_until(lambda: self._exists(self.socket), 10, "nbdkit's socket")
        self.processes.append(self._start(f"nbdfuse {self.path} --unix {self.socket}"))
        wait_until(self._mounted, 10, "nbdfuse's mount")

    def _start(self, command):
        return self.node.start_command(
            command.split(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def _exists(self, path):
        return self.node.attempt("test", "-e", path)[0] == 0

    def _mounted(self):
        return self.node.attempt("mountpoint", "-q", self.path)[0] == 0

    def lose(self):
        """The cache is gone, whatever the node still does."""
        self.node.signal("KILL", "nbdkit")

    def forget(self):
        for process in self.processes:
            process.wait(timeout=30)


class Writer:
    """Writes to the volume; knows up to which write everything was flushed."""

    def __init__(self, node, device, seed, seconds):
        self.flushed = 0
        self.process = node.start_command(
            ["python3", PROBE, "write", device, str(seed), str(seconds)], stdout=subprocess.PIPE
        )
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.flushed = int(line.split()[1])

    def end(self):
        self.process.kill()
        self.process.wait()
        self.reader.join()


def check_blocks(node, device, seed, flushed):
    """Each block holds its newest flushed write, or one that came after the last flush."""
    found = [int(line) for line in node.run("python3", PROBE, "read", device).split()]
    oldest = [0] * flush_probe.BLOCK_COUNT
    allowed = [set() for _ in oldest]
    later = flushed + 2 * flush_probe.BATCH_MAX
    for number, block in enumerate(itertools.islice(flush_probe.block_numbers(seed), later), 1):
        if number <= flushed:
            oldest[block] = number
        else:
            allowed[block].add(number)
    wrong = [
        f"block {block}: {value}, flushed: {oldest[block]}"
        for block, value in enumerate(found)
        if value != oldest[block] and value not in allowed[block]
    ]
    for line in wrong[:20]:
        say(line)
    if wrong:
        raise Failure(f"{len(wrong)} blocks are not as flushed")
    after = sum(value > flushed for value in found)
    say(f"{flushed} flushed writes are there, and {after} blocks of later ones")


def cut_power(cluster, nodes, disks):
    """No node may see another die first: all stop, all caches vanish, then all crash."""
    pids = [int(pid) for node in nodes for pid in host_pids(cluster, node)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    for disk in disks:
        disk.lose()
    for node in nodes:
        cluster.crash(node)
    for disk in disks:
        disk.forget()


def host_pids(cluster, node):
    """Of a node's cleatd, as the machine numbers it."""
    init = (cluster.directory / "nodes" / node.name / "pid").read_text().split()[0]
    namespace = os.readlink(f"/proc/{init}/ns/pid")
    return [
        pid
        for pid in subprocess.run(
            ["pgrep", "-x", "cleatd"], capture_output=True, text=True, check=True
        ).stdout.split()
        if os.readlink(f"/proc/{pid}/ns/pid") == namespace
    ]


def one_round(cluster, options, number):
    first, second, _ = cluster.nodes
    name = f"power{number}"
    disks = [VolatileDisk(node, name) for node in (first, second)]
    for disk in disks:
        disk.node.cleat("pool", "create", disk.path, "--size", "1800M", "--class", name)
    first.cleat("volume", "create", name, "--size", "1Gi", "--ha", "2", "--class", name)
    device = first.attach(name)
    seed = options.seed + number
    writer = Writer(first, device, seed, 60)
    time.sleep(4 + number % 3)
    say("the power fails")
    cut_power(cluster, cluster.nodes, disks)
    writer.end()
    if writer.flushed == 0:
        raise Failure("nothing was flushed before the power failed")
    cluster.start(*cluster.nodes)
    cluster.wait_online()
    device = first.attach(name)
    check_blocks(first, device, seed, writer.flushed)
    cluster.wait_in_sync(name, 2)
    first.detach(name)
    say(first.cleat("volume", "check", name, seconds=600).strip())
    first.cleat("volume", "delete", name)


def run(cluster, options):
    for number in range(ROUNDS[options.length]):
        one_round(cluster, options, number)


if __name__ == "__main__":
    sys.exit(main(run, __doc__, pool_size="1Gi"))
