"""Figures of something that happens under load, or once: pauses, stalls, resync, attach, idle."""
import contextlib
import os
import signal
import time

import accounting
import loads

NOTED_MS = 2  # shorter gaps are not noted by the load: kGapNotedMs in bench/sketch/load.h
WARM_UP_S = 1.5
AWAY_S = 5  # longer than the time within which a member that does not answer is removed
STALL_RANGE_MIB = 64  # so that what is missed is copied within a second
MISSED_WRITES = 4000
RESYNC_SETTLE_S = 0.5


def gap(outcome, begin, end):
    return max(NOTED_MS, loads.largest_gap_ms(outcome.gaps, begin, end))


def snapshot_pause(bed, add, number):
    """From the command's begin to its end, on all of the volume at depth 32."""
    snapshot = f"engine.pause{number}"
    with bed.background("write_4k_qd32") as load:
        time.sleep(WARM_UP_S)
        begin = time.monotonic()
        bed.node.cleat("volume", "snapshot", "create", "engine", "--name", snapshot)
        end = time.monotonic()
        time.sleep(RESYNC_SETTLE_S)
        outcome = load.finish()
    add("snapshot_pause", "engine", gap(outcome, begin, end))
    add("snapshot_pause", "quiet", gap(outcome, begin - (end - begin), begin))
    bed.node.cleat("volume", "snapshot", "delete", snapshot)
    bed.wait_reclaimed()


@contextlib.contextmanager
def killed(bed, node):
    """cleatd of a node is killed at once and comes back at the end: who restarts it is stopped."""
    pid = bed.daemons()[f"{node.name}/cleatd"]
    supervisor = accounting.parent(pid)
    os.kill(supervisor, signal.SIGSTOP)
    try:
        os.kill(pid, signal.SIGKILL)
        yield
    finally:
        os.kill(supervisor, signal.SIGCONT)


@contextlib.contextmanager
def cut_off(bed, node):
    bed.cluster.isolate(node)
    try:
        yield
    finally:
        bed.cluster.heal(node)


def stall(bed, add, absence, key):
    """The longest gap while the replica is going, and while it is coming back."""
    with bed.background("write_4k_qd32", "--range-mib", STALL_RANGE_MIB) as load:
        time.sleep(WARM_UP_S)
        gone = time.monotonic()
        with absence(bed, bed.other):
            time.sleep(AWAY_S)
            back = time.monotonic()
        bed.wait_in_sync()
        in_sync = time.monotonic()
        time.sleep(RESYNC_SETTLE_S)
        outcome = load.finish()
    quiet = gap(outcome, gone - WARM_UP_S / 2, gone)
    add(key, "engine", gap(outcome, gone, back))
    add(key, "quiet", quiet)
    add(f"{key}_back", "engine", gap(outcome, back, in_sync + RESYNC_SETTLE_S))
    add(f"{key}_back", "quiet", quiet)
    add(f"{key}_back", "seconds until in sync", in_sync - back)


def stall_process(bed, add, number):
    del number
    stall(bed, add, killed, "stall_kill")


def stall_node(bed, add, number):
    del number
    stall(bed, add, cut_off, "stall_cut")


def resync(bed, add, number):
    """What comes over the node's network until the replica is in sync again."""
    del number
    for absence, side in ((killed, "engine"), (cut_off, "after a cut")):
        with absence(bed, bed.other):
            bed.load("engine", "write_4k_qd32", 1, "--operations", 1)  # waits until it is removed
            bed.wait_in_sync(count=1)
            bed.load("engine", "write_4k_qd32", 60, "--operations", MISSED_WRITES)
            received = accounting.node_received_bytes(bed.init_pid(bed.other))
            back = time.monotonic()
        bed.wait_in_sync()
        add("resync_s", side, time.monotonic() - back)
        received = accounting.node_received_bytes(bed.init_pid(bed.other)) - received
        add("resync_mib", side, received / (1 << 20))


def timed_ms(node, *command):
    """Of a command inside the node, without the way into it."""
    script = 'begin=$EPOCHREALTIME; "$@" >/dev/null; echo "$begin $EPOCHREALTIME"'
    begin, end = node.run("bash", "-euc", script, "bash", *command).split()
    return (float(end) - float(begin)) * 1e3


def attach(bed, add, number):
    """The command itself with its start, as a person waits for it."""
    del number
    bed.create("attached")
    for _ in range(3):
        command = ("cleat", "host", "attach", "attached", "--frontend", "nbd")
        add("attach", "engine", timed_ms(bed.node, *command))
        add("detach", "engine", timed_ms(bed.node, "cleat", "host", "detach", "attached"))
    bed.delete("attached")


IDLE_S = 10
VOLUME_COUNT = 10_000
TIB = 1 << 40


def idle(bed, add, number):
    """Both volumes are attached, nobody uses them; memory is what the load before has left."""
    del number
    processes = bed.daemons()
    before = accounting.cpu_of(processes)
    time.sleep(IDLE_S)
    cpu = accounting.difference(before, accounting.cpu_of(processes))
    own, everything = accounting.by_node(cpu)
    add("idle_cpu", "engine", max(own.values()) * 100 / IDLE_S)
    add("idle_cpu_etcd", "engine", max(everything.values()) * 100 / IDLE_S)
    for name, seconds in cpu.items():
        add("idle_cpu_etcd", name, seconds * 100 / IDLE_S)
    rss = {name: accounting.rss_mib(pid) for name, pid in processes.items()}
    used = max(pool["capacity"]["used_bytes"] for pool in bed.pools())
    add("memory", "engine", max(mib for name, mib in rss.items() if name.endswith("/cleatd")))
    add("memory", "allowed", 128 + 256 * used / TIB)
    for name, mib in rss.items():
        add("memory", name, mib)


def volume_list(bed, add, number):
    """The volumes are copies of one volume's record: all that a list reads."""
    del number
    bed.create("many-0", 1 << 30, ha=1)
    script = str(bed.options.copy_volumes)
    missing = str(VOLUME_COUNT - bed.volume_count())
    bed.node.run("python3", script, bed.etcd_endpoint(), "many-0", missing)
    bed.wait_for_volumes(VOLUME_COUNT)
    for _ in range(5):
        add("list", "engine", timed_ms(bed.node, "cleat", "volume", "list"))
        add("list", "as JSON", timed_ms(bed.node, "cleat", "volume", "list", "-j"))


SOME_ROUNDS = {
    "snapshot_pause": snapshot_pause,
    "stall_process": stall_process,
    "stall_node": stall_node,
    "resync": resync,
}
# The list comes last: it changes the cluster.
ONCE = {"idle": idle, "attach": attach, "list": volume_list}
