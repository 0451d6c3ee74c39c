"""CPU time, memory and network bytes of processes, as the kernel counts them."""
import os
import pathlib
import time

PROC = pathlib.Path("/proc")
DAEMONS = ("cleatd", "cleat-keeper", "etcd")
CPUCLOCK_SCHED = 2  # of a whole process, in nanoseconds; clock_getcpuclockid(3)


def clock_of(pid):
    return (~pid << 3) | CPUCLOCK_SCHED


def cpu_seconds(pid):
    """Of all its threads, those of io_uring too. OSError when there is no such process."""
    return time.clock_gettime(clock_of(pid))


def cpu_of(processes):
    """CPU seconds of {name: pid}."""
    return {name: cpu_seconds(pid) for name, pid in processes.items()}


def difference(before, after):
    """What each used in between; a process that began in between counts from its begin."""
    return {name: seconds - before.get(name, 0) for name, seconds in after.items()}


def per_thousand_ms(cpu, operations):
    """Milliseconds of CPU per 1,000 operations, by process and in all."""
    if operations <= 0:
        raise ValueError("no operation was done")
    by_name = {name: seconds * 1e6 / operations for name, seconds in cpu.items()}
    return by_name, sum(by_name.values())


def by_node(cpu):
    """{"NODE/daemon": seconds} summed up by node: (without etcd, with it)."""
    own, everything = {}, {}
    for name, seconds in cpu.items():
        node, daemon = name.split("/")
        everything[node] = everything.get(node, 0) + seconds
        if daemon != "etcd":
            own[node] = own.get(node, 0) + seconds
    return own, everything


def _namespace(pid):
    return os.readlink(PROC / str(pid) / "ns" / "pid")


def daemons_of(node, init_pid):
    """{"NODE/daemon": pid} of the daemons in the pid namespace whose pid 1 is `init_pid`."""
    wanted = _namespace(init_pid)
    found = {}
    for entry in PROC.glob("[0-9]*"):
        try:
            name = (entry / "comm").read_text(encoding="utf-8").strip()
            if name in DAEMONS and _namespace(entry.name) == wanted:
                found[f"{node}/{name}"] = int(entry.name)
        except OSError:
            continue  # it ended meanwhile
    return found


def status_value(text, key):
    """The number behind `key:` in the text of /proc/PID/status."""
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name == key:
            return int(value.split()[0])
    raise ValueError(f"no {key} in a process' status")


def _status(pid, key):
    return status_value((PROC / str(pid) / "status").read_text(encoding="utf-8"), key)


def rss_mib(pid):
    return _status(pid, "VmRSS") / 1024


def parent(pid):
    return _status(pid, "PPid")


def received_bytes(text, interface):
    """From the text of /proc/PID/net/dev."""
    for line in text.splitlines():
        name, _, counters = line.partition(":")
        if name.strip() == interface:
            return int(counters.split()[0])
    raise ValueError(f"no interface {interface}")


def node_received_bytes(init_pid):
    text = (PROC / str(init_pid) / "net" / "dev").read_text(encoding="utf-8")
    return received_bytes(text, "eth0")
