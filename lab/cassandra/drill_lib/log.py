"""What Cassandra's log says of a start, of its peers and of a repair."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

LOG_LINE = re.compile(
    r"^(?P<level>[A-Z]+) +\[.*?\] (?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) (?P<text>.*)"
)

Phases = Sequence[tuple[str, re.Pattern[str]]]

# Messages of Cassandra 5.0 by the step they show. With nothing to replay, one line is both ends.
PHASES: Phases = (
    ("replay_begin", re.compile(r"CommitLog\.java:\d+ - Replaying (?!.*complete)")),
    (
        "replay_begin",
        re.compile(r"CommitLog\.java:\d+ - No commitlog files found; skipping replay"),
    ),
    (
        "replay_end",
        re.compile(r"CommitLog\.java:\d+ - Log replay complete, (?P<note>\d+ replayed mutations)"),
    ),
    (
        "replay_end",
        re.compile(r"CommitLog\.java:\d+ - (?P<note>No commitlog files found); skipping replay"),
    ),
    ("cql_ready", re.compile(r"Starting listening for CQL clients on")),
)
SYNC_TASKS = re.compile(r"Created (\d+) sync tasks")


@dataclass(frozen=True)
class Phase:
    name: str
    at: float
    note: str


def line_time(match: re.Match[str]) -> float:
    return datetime.datetime.strptime(match["time"], "%Y-%m-%d %H:%M:%S,%f").timestamp()


def parse_phases(lines: Iterable[str], phases: Phases = PHASES) -> Iterator[Phase]:
    """The phases that the lines of one start show, in the order of the lines."""
    for line in lines:
        match = LOG_LINE.match(line)
        if match is None:
            continue
        for name, pattern in phases:
            found = pattern.search(match["text"])
            if found:
                yield Phase(name, line_time(match), found.groupdict().get("note") or "")


def count_sync_tasks(lines: Iterable[str]) -> int:
    """Ranges that the logged repairs found to differ."""
    return sum(int(match[1]) for match in map(SYNC_TASKS.search, lines) if match)
