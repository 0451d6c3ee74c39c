"""What the integration scenarios are written with: a cluster of real processes, and load on it.

A scenario is an executable file NAME_scenario.py with a function run(cluster, options), started by
main(run, ...) below; test/integration/run starts them all. A scenario that returns has passed; one
that raises has failed, and then the logs of the nodes are kept.
"""
import argparse
import contextlib
import json
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

import history

ROOT = pathlib.Path(__file__).resolve().parents[2]
LAB = ROOT / "lab" / "cluster"
COMMAND_SECONDS_MAX = 120


class Failure(Exception):
    """Something is not as the scenario says it must be."""


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def wait_until(condition, seconds, what):
    """Waits until condition() is true; the last thing it raised, or `what`, is the failure."""
    deadline = time.monotonic() + seconds
    last = None
    while time.monotonic() < deadline:
        try:
            if condition():
                return
            last = None
        except (Failure, subprocess.TimeoutExpired) as error:
            last = error
        time.sleep(0.25)
    raise Failure(f"not within {seconds} s: {what}" + (f" ({last})" if last else ""))


class Node:
    """One node of the lab; commands run in its namespaces."""

    def __init__(self, cluster, name):
        self.cluster = cluster
        self.name = name

    def _command(self, command):
        return [str(LAB), "--dir", str(self.cluster.directory), "exec", self.name, "--", *command]

    def start_command(self, command, **popen):
        return subprocess.Popen(self._command(command), text=True, **popen)

    def attempt(self, *command, seconds=COMMAND_SECONDS_MAX):
        """Runs to the end; (exit status, output with errors)."""
        done = subprocess.run(
            self._command(command),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )
        return done.returncode, done.stdout

    def run(self, *command, seconds=COMMAND_SECONDS_MAX):
        """Standard output of a command that must succeed."""
        done = subprocess.run(
            self._command(command), capture_output=True, text=True, timeout=seconds, check=False
        )
        if done.returncode != 0:
            text = (done.stderr + done.stdout).strip()
            raise Failure(f"{self.name}: {shlex.join(command)}: status {done.returncode}: {text}")
        return done.stdout

    def shell(self, script, seconds=COMMAND_SECONDS_MAX):
        return self.run("bash", "-euo", "pipefail", "-c", script, seconds=seconds)

    def cleat(self, *arguments, seconds=COMMAND_SECONDS_MAX):
        return self.run("cleat", *arguments, seconds=seconds)

    def cleat_json(self, *arguments):
        return json.loads(self.cleat(*arguments, "-j"))

    def pids(self, program):
        """Of a program on this node: its /proc shows no other."""
        status, output = self.attempt("pgrep", "-x", program)
        return output.split() if status == 0 else []

    def signal(self, signal, program):
        pids = self.pids(program)
        if pids:
            self.attempt("kill", f"-{signal}", *pids)

    def attach(self, volume, *options):
        return self.cleat("host", "attach", volume, *options).splitlines()[-1]

    def detach(self, volume):
        self.cleat("host", "detach", volume)


def _end_of(log, lines=25):
    """Its last lines but for those of level D: what a report of the failure shows by itself."""
    text = log.read_text(encoding="utf-8", errors="replace")
    return [line for line in text.splitlines() if " D " not in line[:30]][-lines:]


class Cluster:
    """A lab of its own in a temporary directory, down again at the end whatever happened."""

    def __init__(self, nodes=3, pool_size="8Gi", build=None, keep_logs_in=None):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="cleat-test-", dir="/var/tmp"))
        self.node_count = nodes
        self.pool_size = pool_size
        self.build = build or ROOT / "build" / "release"
        self.keep_logs_in = keep_logs_in
        self.nodes = [Node(self, f"cassandra{i + 1}") for i in range(nodes)]

    def lab(self, *arguments, seconds=300):
        done = subprocess.run(
            [str(LAB), "--dir", str(self.directory), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )
        if done.returncode != 0:
            raise Failure(f"lab/cluster {shlex.join(arguments)}: {done.stdout.strip()}")
        return done.stdout

    def __enter__(self):
        try:
            options = ["--pool-size", self.pool_size, "--build", str(self.build)]
            self.lab("up", "--nodes", str(self.node_count), *options)
        except BaseException:
            self._end(failed=True)
            raise
        return self

    def __exit__(self, kind, value, trace):
        self._end(failed=kind is not None)

    def _end(self, failed):
        if failed:
            self._save_logs()
        self.lab("down")

    def _save_logs(self):
        if self.keep_logs_in is None:
            return
        for log in self.directory.glob("nodes/*/*.log"):
            target = pathlib.Path(self.keep_logs_in) / log.parent.name / log.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(log, target)
        for log in sorted(self.directory.glob("nodes/*/cleatd.log")):
            say(f"the end of {log.parent.name}'s cleatd.log:")
            print(*_end_of(log), sep="\n", flush=True)
        say(f"the nodes' logs are in {self.keep_logs_in}")

    def crash(self, node):
        say(f"{node.name}: crash")
        self.lab("crash", node.name)

    def start(self, *nodes):
        names = [node.name for node in nodes]
        say(f"{' '.join(names)}: start")
        self.lab("start", *names)

    def stop(self, node):
        say(f"{node.name}: stop")
        self.lab("stop", node.name)

    def remove_data(self, node, name):
        """Of a node that is down: something in its /var/lib/cleat."""
        path = self.directory / "nodes" / node.name / "lib" / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()

    def set_option(self, node, key, value):
        """Of cleatd, which is restarted."""
        config = self.directory / "nodes" / node.name / "etc" / "cleatd.toml"
        with config.open("a", encoding="utf-8") as file:
            file.write(f'{key} = "{value}"\n')
        before = node.pids("cleatd")
        node.signal("TERM", "cleatd")
        wait_until(lambda: node.pids("cleatd") not in ([], before), 30, f"{node.name} restarted")
        wait_until(lambda: node.attempt("cleat", "status")[0] == 0, 30, f"{node.name} answers")

    def isolate(self, node):
        say(f"{node.name}: cut off")
        self.lab("isolate", node.name)

    def heal(self, node):
        say(f"{node.name}: link back")
        self.lab("heal", node.name)

    def volume(self, name, node=None):
        return (node or self.nodes[0]).cleat_json("volume", "inspect", name)[0]

    def in_sync_nodes(self, name, node=None):
        replicas = self.volume(name, node)["replicas"]
        return {replica["node"] for replica in replicas if replica["state"] == "in_sync"}

    def wait_online(self, seconds=60, node=None):
        """Until every node is known to be alive: new replicas are placed on such nodes only."""
        asked = node or self.nodes[0]

        def all_online():
            return all(n["state"] == "online" for n in asked.cleat_json("node", "list")["nodes"])

        wait_until(all_online, seconds, "every node online")

    def wait_in_sync(self, name, count, seconds=120, node=None):
        wait_until(
            lambda: len(self.in_sync_nodes(name, node)) == count,
            seconds,
            f"{count} replicas of {name} in sync",
        )


def check_history(logs):
    """The probes' reads and writes must be such as one disk could give."""
    blocks = history.load(*logs)
    found = history.problems(blocks)
    for problem in found[:20]:
        say(problem)
    writes, reads = history.count(blocks, "write"), history.count(blocks, "read")
    if found:
        raise Failure(f"{len(found)} problems in a history of {writes} writes, {reads} reads")
    if writes == 0 or reads == 0:
        raise Failure("the probes wrote or read nothing")
    say(f"history: {writes} writes and {reads} reads, as on one disk")


class Fio:
    """Random writes, read back and verified all the while, on a mounted filesystem of a node."""

    DAY = 24 * 3600
    INTERRUPTED = 128  # fio's status when a signal asked it to end

    def __init__(self, node, directory, size="512M", depth=16, seed=1):
        options = [
            "fio --name=verify --rw=randwrite --bs=4k --ioengine=libaio --direct=1 --time_based",
            "--verify=crc32c --verify_fatal=1 --verify_backlog=1024 --do_verify=1",
            f"--verify_state_save=0 --output-format=json --runtime={self.DAY}",
            f"--directory={directory} --size={size} --iodepth={depth} --randseed={seed}",
        ]
        self.node = node
        self.output = tempfile.TemporaryFile(mode="w+", encoding="utf-8")
        self.process = node.start_command(
            shlex.split(" ".join(options)), stdout=self.output, stderr=subprocess.STDOUT
        )

    def check_running(self):
        if self.process.poll() is not None:
            raise Failure(f"fio ended early: status {self.process.returncode}: {self._text()}")

    def _text(self):
        self.output.seek(0)
        return self.output.read()

    def finish(self, seconds=120):
        """Asks it to end, which must be without any error; the report of its job."""
        self.check_running()
        self._interrupt()
        try:
            status = self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            say(self._where_it_waits())
            self.kill()
            raise Failure(f"fio did not end within {seconds} s: its I/O hangs") from None
        text = self._text()
        if status not in (0, self.INTERRUPTED) or "{" not in text:
            raise Failure(f"fio failed: status {status}: {text}")
        job = json.loads(text[text.index("{") :])["jobs"][0]
        if job["error"] != 0:
            raise Failure(f"fio reports error {job['error']}: {text[:2000]}")
        return job

    def _interrupt(self):
        """The process that began the jobs tells them. One that is interrupted itself in the middle
        of io_getevents() can wait for ever for an event that it lost, on any file."""
        pids = self.node.pids("fio")
        parents = self.node.run("ps", "-o", "pid=,ppid=", "-C", "fio").splitlines()
        first = [pid for pid, parent in map(str.split, parents) if parent not in pids]
        self.node.run("kill", "-INT", *first)

    def _where_it_waits(self):
        """Of each thread of fio and each server of the node, and what FUSE waits for."""
        script = """
            for pid in $(pgrep -x 'fio|cleatd|cleat-keeper|loop[0-9]+'); do
              for task in /proc/$pid/task/*; do
                state=$(sed -n 's/^State:\\t//p' "$task/status")
                echo "$(cat "$task/comm") ${task##*/} $state: $(xargs <"$task/stack")"
              done
            done
            grep . /sys/fs/fuse/connections/*/waiting
            cleat volume list
        """
        return "where it waits:\n" + self.node.attempt("bash", "-c", script)[1]

    def kill(self):
        self.node.signal("KILL", "fio")
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def mounted(node, volume, device):
    """The volume's filesystem at a path of the node's own, unmounted at the end."""
    path = f"/run/mnt/{volume}"
    node.shell(f"mkdir -p {path} && mount {device} {path}")
    try:
        yield path
    except BaseException:
        node.attempt("umount", "--lazy", path)
        raise
    node.run("umount", path)


def parse(description, durations):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--length", choices=durations, default="short")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--build", type=pathlib.Path, help="build directory (build/release)")
    parser.add_argument("--logs", type=pathlib.Path, help="where logs go when it fails")
    return parser.parse_args()


def main(run, description, nodes=3, pool_size="8Gi", lengths=("short", "long")):
    """Runs a scenario; exits with 1 when it failed."""
    options = parse(description, lengths)
    name = pathlib.Path(sys.argv[0]).stem
    say(f"{name}: {options.length}, seed {options.seed}")
    logs = options.logs or ROOT / "build" / "out" / "integration" / name
    try:
        with Cluster(nodes, pool_size, options.build, logs) as cluster:
            run(cluster, options)
    except (Failure, subprocess.TimeoutExpired) as error:
        say(f"{name}: FAILED: {error}")
        return 1
    say(f"{name}: passed")
    return 0


if os.geteuid() != 0:
    sys.exit("integration tests make namespaces and mounts: run them as root")
