"""What the command lines of the drills have in common."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .process import DrillError, say

OUT = Path(__file__).resolve().parents[2] / "out"

# What report.json holds, and the file that a person reads.
Report = tuple[dict[str, Any], Path]


def natural(text: str) -> int:
    return at_least(0, text)


def positive(text: str) -> int:
    return at_least(1, text)


def at_least(least: int, text: str) -> int:
    value = int(text)
    if value < least:
        raise argparse.ArgumentTypeError(f"{text} is not {least} or more")
    return value


def parser(
    name: str, description: str, ways: Sequence[str], interval: int
) -> argparse.ArgumentParser:
    """With the options of every drill, whose program is lab/NAME/drill. `ways` are the ways to lose
    a node, `interval` is iostat's; the first way is the default."""
    found = argparse.ArgumentParser(prog=f"lab/{name}/drill", description=description)
    add = found.add_argument
    add("--how", choices=ways, default=ways[0], help=f"how the node is lost (default {ways[0]})")
    add("--copies", type=positive, default=1, metavar="N", help="load N times 16 MB (default 1)")
    add(
        "--interval",
        type=positive,
        default=interval,
        metavar="S",
        help=f"seconds between iostat's samples (default {interval})",
    )
    out = OUT / time.strftime(f"{name}-%Y%m%d-%H%M%S")
    add("--out", type=Path, default=out, metavar="DIR", help="where the report goes")
    return found


def options(arguments: argparse.Namespace) -> dict[str, Any]:
    """What proof.Options takes. Makes the directory of the report."""
    return {
        "how": arguments.how,
        "copies": arguments.copies,
        "interval": arguments.interval,
        "out": new_directory(arguments.out),
    }


def new_directory(path: Path) -> Path:
    """The directory of a report, made; of a drill that has all it needs."""
    if shutil.which("iostat") is None:
        raise DrillError("iostat is missing: install the package sysstat (./dev deps does it)")
    path = path.absolute()
    if path.exists():
        raise DrillError(f"{path} exists: give another --out, so that no report is overwritten")
    path.mkdir(parents=True)
    return path


def play(drill: Callable[[], None], write_report: Callable[[], Report]) -> int:
    """The exit status. A report is written however the drill ends."""
    try:
        drill()
    finally:
        data, file = write_report()
    tell(data, file)
    return 0 if data["passed"] else 1


def tell(data: dict[str, Any], file: Path) -> None:
    if data["failure"]:
        print(f"drill: FAILED: {data['failure']}", file=sys.stderr)
    elif not data["passed"]:
        print(
            f"drill: FAILED: steps not seen: {data['steps_not_seen']}; rows: {data['comparison']}",
            file=sys.stderr,
        )
    loaded, found, lost = data["rows_loaded"], data["rows_found"], data["rows_lost"]
    say(f"rows_loaded {loaded}, rows found {found}, rows_lost {lost}")
    say(f"report: {file}")


def interrupted(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


def run(main: Callable[[list[str]], int]) -> None:
    """Ends the process. SIGTERM is taken as an interrupt: what was started is put away."""
    signal.signal(signal.SIGTERM, interrupted)
    try:
        sys.exit(main(sys.argv[1:]))
    except DrillError as problem:
        sys.exit(f"drill: {problem}")
    except KeyboardInterrupt:
        sys.exit("drill: interrupted; everything it started is put away")
