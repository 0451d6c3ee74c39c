"""What is measured, what each figure is compared with, and the goal it has (design, figures).

A figure has values by side, one for each round: raw (a file), sketch, engine (Cleat through NBD),
device (Cleat through FUSE and loop), raw_fio and engine_fio (the same by fio instead of our load),
and sides of its own such as `quiet`. Its goal is about `engine`: of the ratio to the side
`against`, or of the value itself when there is none.
"""
import dataclasses
import statistics

MAIN_SIDES = ("raw", "sketch", "engine", "device")


@dataclasses.dataclass(frozen=True)
class Figure:
    key: str
    step: str  # which step of the run measures it
    title: str
    unit: str
    against: str = ""
    at_least: float = 0
    at_most: float = 0

    def goal(self):
        """In words; empty when it has none."""
        limit = self.at_least or self.at_most
        if not limit:
            return ""
        sign = "≥" if self.at_least else "≤"
        return f"{sign} {limit:g} × {self.against}" if self.against else f"{sign} {limit:g}"

    def is_met(self, value):
        return value >= self.at_least if self.at_least else value <= self.at_most


FIGURES = (
    Figure("round_trip", "round_trip", "4 KiB round trip on loopback, p50", "us"),
    Figure("write_qd1_p50", "write_qd1", "write QD1, p50", "us", "sketch", at_most=1.2),
    Figure("write_qd1", "write_qd1", "write QD1", "IOPS"),
    Figure("write_qd32", "write_qd32", "write QD32", "IOPS", "sketch", at_least=0.8),
    Figure("write_cpu", "write_qd32", "CPU per 1,000 writes, QD32", "ms", at_most=30),
    Figure("flush_qd1", "flush_qd1", "write + flush QD1", "IOPS", "sketch", at_least=0.9),
    Figure("flush_qd32", "flush_qd32", "write + flush QD32", "IOPS", "sketch", at_least=0.9),
    Figure("new_qd1", "new_blocks", "write + flush QD1, new blocks", "IOPS", "old", at_least=0.9),
    Figure("new_qd32", "new_blocks", "write + flush QD32, new blocks", "IOPS", "old", at_least=0.9),
    Figure("read_qd32", "read_qd32", "read QD32, local replica", "IOPS", "raw", at_least=0.8),
    Figure("write_1m", "write_1m", "1 MiB sequential write QD1", "MB/s", "sketch", at_least=0.9),
    Figure("write_1m_qd4", "write_1m", "1 MiB sequential write QD4", "MB/s", "sketch",
           at_least=0.9),
    Figure("after_snapshot", "after_snapshot", "write QD32 after a snapshot", "IOPS", "before",
           at_least=0.9),
    Figure("idle_cpu", "idle", "idle CPU of a node, cleatd and keeper", "% of a core", at_most=1),
    Figure("idle_cpu_etcd", "idle", "idle CPU of a node with its etcd", "% of a core", at_most=1),
    Figure("memory", "idle", "memory of a cleatd (largest)", "MiB", "allowed", at_most=1),
    Figure("snapshot_pause", "snapshot_pause", "pause of a snapshot under load", "ms", at_most=20),
    Figure("stall_kill", "stall_process", "stall: replica's cleatd killed", "ms", at_most=50),
    Figure("stall_kill_back", "stall_process", "stall: it comes back", "ms", at_most=50),
    Figure("stall_cut", "stall_node", "stall: replica's node vanishes", "ms", at_most=3000),
    Figure("stall_cut_back", "stall_node", "stall: it comes back", "ms", at_most=50),
    Figure("resync_mib", "resync", "resync of 4,000 missed writes", "MiB", at_most=64),
    Figure("resync_s", "resync", "resync of 4,000 missed writes", "s", at_most=2),
    Figure("attach", "attach", "attach (NBD)", "ms"),
    Figure("detach", "attach", "detach (NBD)", "ms"),
    Figure("list", "list", "cleat v l with 10,000 volumes", "ms", at_most=300),
)  # fmt: skip


def chosen(names):
    """Figures by key or by step; all when no name is given. ValueError names what there is not."""
    known = {name for figure in FIGURES for name in (figure.key, figure.step)}
    unknown = sorted(set(names) - known)
    if unknown:
        names = " ".join(sorted(known))
        raise ValueError(f"no figure is called {', '.join(unknown)}; there are: {names}")
    return [f for f in FIGURES if not names or f.key in names or f.step in names]


@dataclasses.dataclass
class Row:
    """A figure as it came out."""

    figure: Figure
    medians: dict  # by side
    ratio: float | None = None  # of engine to figure.against
    result: str = ""  # "met", "MISSED", or empty without a goal

    def others(self):
        """Sides without a column of their own, but for the one it is compared with."""
        known = (*MAIN_SIDES, self.figure.against)
        return {side: value for side, value in self.medians.items() if side not in known}


def ratio(values, base):
    """Median of the ratios of each round, as a round is measured within seconds."""
    if len(values) == len(base):
        return statistics.median(a / b for a, b in zip(values, base))
    return statistics.median(values) / statistics.median(base)


def judge(figure, series):
    """The row of a figure; `series` has its values by side. None when it was not measured."""
    if not series.get("engine") and not series.get("raw"):
        return None
    medians = {side: statistics.median(values) for side, values in series.items() if values}
    row = Row(figure, medians)
    if figure.against and series.get(figure.against):
        row.ratio = ratio(series["engine"], series[figure.against])
    value = row.ratio if figure.against else row.medians.get("engine")
    if figure.goal() and value is not None:
        row.result = "met" if figure.is_met(value) else "MISSED"
    return row
