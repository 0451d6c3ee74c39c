"""Command line of the drill. `lab/cassandra-cleat/drill` calls it in a Python with matplotlib."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import time
from pathlib import Path

from drill_lib.process import DrillError, say

from . import plots, report
from .drill import Drill
from .kubernetes import Kubernetes
from .recovery import KINDS
from .scene import Options

LAB = Path(__file__).resolve().parents[2]
COMPARE = {"none": (), "all": KINDS, **{kind: (kind,) for kind in KINDS}}


def natural(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is not 0 or more")
    return value


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value


def parse_arguments(words: list[str]) -> argparse.Namespace:
    default_out = LAB / "out" / time.strftime("cassandra-cleat-%Y%m%d-%H%M%S")
    parser = argparse.ArgumentParser(
        prog="lab/cassandra-cleat/drill",
        description="Loads a Cassandra of two pods on a running lab/kubernetes, takes the node "
        "from one of them, sees it come back on its volume elsewhere, and checks that no row is "
        "lost. Exit status 0 only if none is.",
    )
    parser.add_argument(
        "--how",
        choices=("cordon", "node-crash", "isolate"),
        default="cordon",
        help="how the pod loses its node (default cordon: and the pod is deleted)",
    )
    parser.add_argument(
        "--copies", type=positive, default=1, metavar="N", help="load N times 16 MB (default 1)"
    )
    parser.add_argument(
        "--ballast",
        type=natural,
        default=256,
        metavar="MIB",
        help="data in Cassandra before all else: what a bootstrap has to stream (default 256)",
    )
    parser.add_argument(
        "--compare",
        choices=tuple(COMPARE),
        default="all",
        help="ways back that are tried afterwards, for comparison (default all)",
    )
    parser.add_argument(
        "--interval", type=positive, default=2, metavar="S", help="seconds between iostat's samples"
    )
    parser.add_argument(
        "--count", type=positive, metavar="N", help="iostat's samples (default: until the end)"
    )
    parser.add_argument(
        "--out", type=Path, default=default_out, metavar="DIR", help="where the report goes"
    )
    return parser.parse_args(words)


def tell(data: dict[str, object], file: Path) -> None:
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


def main(words: list[str]) -> int:
    args = parse_arguments(words)
    if shutil.which("iostat") is None:
        raise DrillError("iostat is missing: install the package sysstat (./dev deps does it)")
    # The pods' clocks and logs are in UTC.
    os.environ["TZ"] = "UTC"
    time.tzset()
    out = args.out.absolute()
    if out.exists():
        raise DrillError(f"{out} exists: give another --out, so that no report is overwritten")
    out.mkdir(parents=True)
    compare = COMPARE[args.compare]
    options = Options(args.how, args.copies, args.ballast, compare, out, args.interval, args.count)
    drill = Drill(options, Kubernetes(LAB / "kubernetes"))
    try:
        drill.run()
    finally:
        data = report.as_json(options, drill.timeline, drill.findings)
        file = report.write(out, data, plots.draw(out, data))
    tell(data, file)
    return 0 if data["passed"] else 1


def interrupted(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, interrupted)
    try:
        sys.exit(main(sys.argv[1:]))
    except DrillError as problem:
        sys.exit(f"drill: {problem}")
    except KeyboardInterrupt:
        sys.exit("drill: interrupted; everything it started is put away")
