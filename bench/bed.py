"""What is measured on: a raw file, the sketch's pair, and a cluster of the lab with two volumes.

All of it in one directory of one disk, and gone at the end whatever happens.
"""
import contextlib
import json
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import accounting
import loads

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "test" / "integration"))
import cluster_test  # noqa: E402

ENGINE = "engine"  # attached as NBD
DEVICE = "device"  # attached as FUSE and loop
PEER_ADDRESS = "10.91.0.12:9479"  # of the sketch, on the second node
MIB = 1 << 20


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def mib(size_bytes):
    return f"{size_bytes // MIB}M"


class Bed:
    def __init__(self, options):
        self.options = options
        self.size_bytes = options.size_bytes
        self.program = options.build / "bin" / "cleat-sketch"
        self.stack = contextlib.ExitStack()
        self.directory = None
        self.cluster = None
        self.pair = None

    def __enter__(self):
        with self.stack:
            self._make_directory()
            self._start_cluster()
            self._start_pair()
            self._make_volumes()
            self.stack = self.stack.pop_all()
        return self

    def __exit__(self, *error):
        return self.stack.__exit__(*error)

    def _make_directory(self):
        prefix = "cleat-bench-"
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix=prefix, dir=self.options.directory))
        self.stack.callback(shutil.rmtree, self.directory)

    def _start_pair(self):
        """Over the same virtual network as Cleat: each process in the network of a node."""
        self.options.say("the sketch's pair, and a raw file")
        command = ["pair", "--dir", self.directory, "--size-mib", self.size_bytes // MIB]
        command += ["--primary-network", self.network(self.node)]
        command += ["--peer-network", self.network(self.other), "--peer", PEER_ADDRESS]
        process = subprocess.Popen(
            [str(self.program), *map(str, command)],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.stack.callback(process.wait)
        self.stack.callback(process.terminate)
        answer = process.stdout.readline()
        if not answer:
            raise loads.LoadError("cleat-sketch pair did not start")
        self.pair = json.loads(answer)

    def _start_cluster(self):
        self.options.say("a cluster of three nodes")
        pool_size = mib(5 * self.size_bytes)
        logs = self.options.results / "logs.tmp"
        cluster = cluster_test.Cluster(3, pool_size, self.options.build, logs)
        self.cluster = self.stack.enter_context(cluster)
        self.node, self.other, _ = cluster.nodes

    def _make_volumes(self):
        self.options.say("two volumes, written once")
        self.create(ENGINE)
        self.create(DEVICE)
        self.node.attach(ENGINE, "--frontend", "nbd")
        self.node.attach(DEVICE)
        loads.sketch(self.program, self.where("engine"), "write_1m_qd4", 600, *self.whole_volume())
        fill = (*self.fio_where("device"), "--rw=write", "--bs=1m", "--iodepth=4")
        command = [word for word in loads.FIO if word != "--time_based"]
        loads.parse_fio(loads.run([*command, *fill, f"--size={self.size_bytes}"], 600))

    def whole_volume(self):
        return "--operations", self.size_bytes // MIB

    # ---- volumes

    def create(self, name, size_bytes=None, ha=2):
        nodes = ",".join(node.name for node in self.cluster.nodes[:ha])
        size = mib(size_bytes or self.size_bytes)
        self.node.cleat("volume", "create", name, "--size", size, "--ha", str(ha), "--nodes", nodes)

    def delete(self, name):
        self.node.cleat("volume", "delete", name)

    def in_sync_count(self, name):
        """None while the node can't tell, as when etcd elects."""
        try:
            return len(self.cluster.in_sync_nodes(name, self.node))
        except cluster_test.Failure:
            return None

    def wait_in_sync(self, name=ENGINE, count=2, every=0.05, seconds=180):
        deadline = time.monotonic() + seconds
        while self.in_sync_count(name) != count:
            if time.monotonic() > deadline:
                raise loads.LoadError(f"{name}: not {count} replicas in sync within {seconds} s")
            time.sleep(every)

    def pools(self):
        return self.node.cleat_json("pool", "list")["pools"]

    def volume_count(self):
        return self.node.cleat_json("status")["volumes"]["total"]

    def wait_for_volumes(self, count, seconds=30):
        deadline = time.monotonic() + seconds
        while self.volume_count() < count:
            if time.monotonic() > deadline:
                raise loads.LoadError(f"not {count} volumes within {seconds} s")
            time.sleep(0.25)

    def wait_reclaimed(self, seconds=120):
        """Until what was deleted has given its space back: that work would disturb what follows."""
        deadline = time.monotonic() + seconds
        while any(pool["reclaimable_bytes"] for pool in self.pools()):
            if time.monotonic() > deadline:
                raise loads.LoadError(f"deleted space is not free after {seconds} s")
            time.sleep(0.25)

    @contextlib.contextmanager
    def fresh_volume(self, name):
        """An attached volume of which nothing was ever written; its space is free again after."""
        self.create(name)
        self.node.attach(name, "--frontend", "nbd")
        try:
            yield
        finally:
            self.node.detach(name)
            self.delete(name)
        self.wait_reclaimed()

    # ---- processes

    def init_pid(self, node):
        path = self.cluster.directory / "nodes" / node.name / "pid"
        return int(path.read_text(encoding="utf-8").split()[0])

    def etcd_endpoint(self):
        """Of the member embedded on the first node; seen from inside the cluster only."""
        peers = self.node.cleat_json("status")["metadata"]["endpoints"]
        return f"http://{peers[0]}"

    def network(self, node):
        return pathlib.Path("/proc", str(self.init_pid(node)), "ns", "net")

    def daemons(self):
        found = {}
        for node in self.cluster.nodes:
            found |= accounting.daemons_of(node.name, self.init_pid(node))
        return found

    def processes(self, side):
        """Whose CPU time counts for a side."""
        if side == "sketch":
            return dict(zip(("sketch/primary", "sketch/peer"), self.pair["pids"]))
        return {} if side.startswith("raw") else self.daemons()

    # ---- loads

    def nbd_socket(self):
        return pathlib.Path("/proc", str(self.init_pid(self.node)), "root", "run/cleat/nbd.sock")

    def where(self, side, volume=ENGINE):
        """For cleat-sketch."""
        if side == "raw":
            return ("raw", "--file", self.directory / "sketch-1.img")
        if side == "sketch":
            return ("load", "--to", self.pair["listen"])
        return ("load", "--to", f"unix:{self.nbd_socket()}", "--export", volume)

    def fio_where(self, side):
        if side == "raw_fio":
            return ("--ioengine=io_uring", f"--filename={self.directory / 'sketch-1.img'}")
        if side == "engine_fio":
            return ("--ioengine=nbd", f"--uri=nbd+unix:///{ENGINE}?socket={self.nbd_socket()}")
        link = self.cluster.directory / "nodes" / self.node.name / "dev" / DEVICE
        return ("--ioengine=libaio", f"--filename={link.readlink()}")

    def load(self, side, workload, seconds, *options, volume=ENGINE):
        """Runs a load to its end; its Outcome, with the CPU time of the side's processes."""
        processes = self.processes(side)
        before = accounting.cpu_of(processes)
        if side in ("device", "raw_fio", "engine_fio"):
            outcome = loads.fio(self.fio_where(side), workload, seconds, self.size_bytes)
        else:
            where = self.where(side, volume)
            outcome = loads.sketch(self.program, where, workload, seconds, *options)
        outcome.cpu = accounting.difference(before, accounting.cpu_of(processes))
        return outcome

    def round_trip_us(self):
        peer = f"127.0.0.1:{free_port()}"
        command = [str(self.program), "trip", "--peer", peer, "--seconds", "1"]
        return loads.parse_sketch(loads.run(command, 1), "round_trip_4k_qd1").p50_us

    def background(self, workload, *options):
        return loads.Background(self.program, self.where("engine"), workload, *options)
