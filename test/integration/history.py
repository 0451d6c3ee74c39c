"""Whether a history of reads and writes could have happened on one disk.

Every block is a register. Its writes carry numbers that rise in the order in which they are issued
(register_probe.py), so a history is linearizable when no operation goes back: what a read returns,
or an acknowledged write writes, is at least the highest number that was read or acknowledged before
the operation began, and every number read was written by a write that had begun. A write that
failed or never ended may have happened or not. A read beside a write may find a mixture of both.
"""
import collections
import json


def load(*paths):
    """Operations of some logs, by block."""
    blocks = collections.defaultdict(list)
    for path in paths:
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                operation = json.loads(line)
                blocks[operation["block"]].append(operation)
    return blocks


def _values(read):
    """What a read returned: one number, or several when the block was torn."""
    return read["value"] if isinstance(read["value"], list) else [read["value"]]


def _value_problems(block, operations):
    begun = {o["value"]: o["begin"] for o in operations if o["kind"] == "begin"}
    for o in operations:
        if o["kind"] == "read":
            for value in _values(o):
                if value != 0 and begun.get(value, o["end"]) >= o["end"]:
                    yield f"block {block}: {value} was read before anybody wrote it"


def _torn_problems(block, operations):
    """A read may find a mixture only while a write of the block is under way."""
    ends = {o["value"]: o["end"] for o in operations if o["kind"] == "write"}
    writes = [(o["begin"], ends.get(o["value"])) for o in operations if o["kind"] == "begin"]
    for o in operations:
        if o["kind"] != "read" or len(_values(o)) == 1:
            continue
        if not any(b < o["end"] and (e is None or e > o["begin"]) for b, e in writes):
            yield f"block {block}: a torn read without a write: {o['value']}"


def _order_problems(block, operations):
    done = [o for o in operations if o["kind"] in ("read", "write")]
    by_end = iter(sorted(done, key=lambda o: o["end"]))
    finished = next(by_end, None)
    highest = 0
    for o in sorted(done, key=lambda o: o["begin"]):
        while finished is not None and finished["end"] < o["begin"]:
            highest = max(highest, min(_values(finished)))
            finished = next(by_end, None)
        lowest = min(_values(o))
        if lowest < highest:
            what = "a stale read" if o["kind"] == "read" else "a fenced write was acknowledged"
            yield f"block {block}: {what}: {lowest} after {highest}, begun at {o['begin']}"


def problems(blocks):
    found = []
    for block, operations in sorted(blocks.items()):
        found += _value_problems(block, operations)
        found += _torn_problems(block, operations)
        found += _order_problems(block, operations)
    return found


def count(blocks, kind):
    return sum(o["kind"] == kind for operations in blocks.values() for o in operations)
