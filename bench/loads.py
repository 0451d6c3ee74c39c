"""Load: cleat-sketch's and fio's, and what they report."""
import dataclasses
import json
import os
import random
import signal
import subprocess

SECONDS_OVER_MAX = 60
FIO = ("fio", "--name=bench", "--direct=1", "--time_based", "--group_reporting", "--thread",
       "--norandommap", "--output-format=json", "--randrepeat=0")  # fmt: skip


class LoadError(Exception):
    """A load failed or did not end."""


@dataclasses.dataclass
class Outcome:
    """What came of a load."""

    operations: int
    iops: float
    p50_us: float
    mb_per_s: float
    max_us: float = 0
    gaps: list = dataclasses.field(default_factory=list)  # [at_s, ms], see bench/sketch/load.h
    cpu: dict = dataclasses.field(default_factory=dict)  # seconds by process


def parse_sketch(text, workload):
    """From what `cleat-sketch load|raw --only WORKLOAD` and `trip` print."""
    (workloads,) = json.loads(text).values()
    fields = [field.name for field in dataclasses.fields(Outcome)]
    return Outcome(**{key: value for key, value in workloads[workload].items() if key in fields})


def parse_fio(text):
    """From fio's JSON, which warnings may precede; a job with an error is a LoadError."""
    (job,) = json.loads(text[text.index("{") :])["jobs"]
    if job["error"] != 0:
        raise LoadError(f"fio: error {job['error']}")
    side = max((job["read"], job["write"]), key=lambda direction: direction["total_ios"])
    median = side["clat_ns"].get("percentile", {}).get("50.000000", 0)
    return Outcome(side["total_ios"], side["iops"], median / 1e3, side["bw_bytes"] / 1e6)


def largest_gap_ms(gaps, begin, end):
    """The longest time without a completion that overlaps [begin, end]; 0: none was noted."""
    return max((ms for at, ms in gaps if at <= end and at + ms / 1e3 >= begin), default=0.0)


def run(command, seconds):
    limit = seconds + SECONDS_OVER_MAX
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        raise LoadError(f"not done within {limit:.0f} s: {' '.join(command)}") from None
    if done.returncode != 0:
        raise LoadError(f"status {done.returncode}: {' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def sketch_command(program, where, workload, seconds, *options):
    """`where`: ("raw", "--file", F) or ("load", "--to", ADDRESS, …). Each goes to other places."""
    seed = str(random.randrange(1, 2**31))
    words = [*where, "--only", workload, "--seconds", str(seconds), "--seed", seed, *options]
    return [str(program), *map(str, words)]


def sketch(program, where, workload, seconds, *options):
    command = sketch_command(program, where, workload, seconds, *options)
    return parse_sketch(run(command, seconds), workload)


FIO_WORKLOADS = {
    "write_4k_qd1": ("--rw=randwrite", "--bs=4k", "--iodepth=1"),
    "write_4k_qd32": ("--rw=randwrite", "--bs=4k", "--iodepth=32"),
    "read_4k_qd32": ("--rw=randread", "--bs=4k", "--iodepth=32"),
    "write_1m_qd1": ("--rw=write", "--bs=1m", "--iodepth=1"),
    "write_1m_qd4": ("--rw=write", "--bs=1m", "--iodepth=4"),
    # fio's engines flush one at a time within a job: each writer is a job of its own
    "write_flush_4k_qd1": ("--rw=randwrite", "--bs=4k", "--fdatasync=1"),
    "write_flush_4k_qd32": ("--rw=randwrite", "--bs=4k", "--fdatasync=1", "--numjobs=32"),
}


def fio_command(where, workload, seconds, size_bytes):
    """`where`: --ioengine=… and its place."""
    return [*FIO, *where, *FIO_WORKLOADS[workload], f"--runtime={seconds}", f"--size={size_bytes}"]


def fio(where, workload, seconds, size_bytes):
    return parse_fio(run(fio_command(where, workload, seconds, size_bytes), seconds))


class Background:
    """A sketch load that runs until finish()."""

    SECONDS_MAX = 600

    def __init__(self, program, where, workload, *options):
        self.workload = workload
        command = sketch_command(program, where, workload, self.SECONDS_MAX, *options)
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def finish(self):
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGINT)
        try:
            output, errors = self.process.communicate(timeout=SECONDS_OVER_MAX)
        except subprocess.TimeoutExpired:
            raise LoadError("the load does not end: its I/O hangs") from None
        if self.process.returncode != 0:
            raise LoadError(f"the load failed: {errors.strip()}")
        return parse_sketch(output, self.workload)
