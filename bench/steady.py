"""Figures of a load that goes on: all sides within seconds, in each round in another order."""
import functools

import accounting

SIDES = ("raw", "sketch", "engine", "device")
FIO_SIDES = ("raw_fio", "engine_fio")  # whether our load generator says what fio says
NEW_RANGE_MIB = 1024
NEW = "fresh"


def rotated(sides, number):
    shift = number % len(sides)
    return sides[shift:] + sides[:shift]


def add_cpu(add, side, outcome):
    if not outcome.cpu or side == "engine_fio":
        return
    by_name, total = accounting.per_thousand_ms(outcome.cpu, outcome.operations)
    add("write_cpu", side, total)
    for name, value in by_name.items():
        add("write_cpu", f"{side}:{name}", value)


def compare(workload, key, value, fio_sides, bed, add, number):
    """One workload on all sides; `value` takes an Outcome's figure."""
    for side in rotated(SIDES + fio_sides, number):
        outcome = bed.load(side, workload, bed.options.seconds)
        add(key, side, value(outcome))
        if workload == "write_4k_qd1":
            add("write_qd1_p50", side, outcome.p50_us)
        if workload == "write_4k_qd32":
            add_cpu(add, side, outcome)


def iops(outcome):
    return outcome.iops


def mb_per_s(outcome):
    return outcome.mb_per_s


def round_trip(bed, add, number):
    del number
    add("round_trip", "raw", bed.round_trip_us())


def write_1m(bed, add, number):
    compare("write_1m_qd1", "write_1m", mb_per_s, (), bed, add, number)
    compare("write_1m_qd4", "write_1m_qd4", mb_per_s, (), bed, add, number)


def after_snapshot(bed, add, number):
    """The same load just before and just after a snapshot: each write then meets a frozen block."""
    snapshot = f"engine.steady{number}"
    add("after_snapshot", "before", bed.load("engine", "write_4k_qd32", bed.options.seconds).iops)
    bed.node.cleat("volume", "snapshot", "create", "engine", "--name", snapshot)
    add("after_snapshot", "engine", bed.load("engine", "write_4k_qd32", bed.options.seconds).iops)
    bed.node.cleat("volume", "snapshot", "delete", snapshot)
    bed.wait_reclaimed()


def new_blocks(bed, add, number):
    """A volume of which nothing is written, in a range so small that extents are met again."""
    del number
    for depth in ("qd1", "qd32"):
        workload = f"write_flush_4k_{depth}"
        limit = ("--range-mib", NEW_RANGE_MIB)
        old = bed.load("engine", workload, bed.options.seconds, *limit)
        with bed.fresh_volume(NEW):
            new = bed.load("engine", workload, bed.options.seconds, *limit, volume=NEW)
        add(f"new_{depth}", "old", old.iops)
        add(f"new_{depth}", "engine", new.iops)


STEPS = {
    "round_trip": round_trip,
    "write_qd1": functools.partial(compare, "write_4k_qd1", "write_qd1", iops, FIO_SIDES),
    "write_qd32": functools.partial(compare, "write_4k_qd32", "write_qd32", iops, FIO_SIDES),
    "flush_qd1": functools.partial(compare, "write_flush_4k_qd1", "flush_qd1", iops, ()),
    "flush_qd32": functools.partial(compare, "write_flush_4k_qd32", "flush_qd32", iops, ()),
    "read_qd32": functools.partial(compare, "read_4k_qd32", "read_qd32", iops, FIO_SIDES),
    "write_1m": write_1m,
    "new_blocks": new_blocks,
    "after_snapshot": after_snapshot,
}
