"""Command line of the drill. `lab/cassandra/drill` calls it in the Python that `prepare` made."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import time
from pathlib import Path

from . import plots, report
from .cassandra import LAB
from .cluster import Cluster
from .drill import Drill
from .process import DrillError, say
from .scene import Options


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value


def parse_arguments(words: list[str]) -> argparse.Namespace:
    default_out = LAB.parent / "out" / time.strftime("cassandra-%Y%m%d-%H%M%S")
    parser = argparse.ArgumentParser(
        prog="lab/cassandra/drill",
        description="Loads a Cassandra of two nodes on a running lab/cluster, loses one of them, "
        "lets it go on from its volume on another node, and checks that no row is lost. "
        "Exit status 0 only if none is.",
    )
    parser.add_argument(
        "--how", choices=("crash", "isolate", "drain"), default="crash", help="how the node is lost"
    )
    parser.add_argument(
        "--copies", type=positive, default=1, metavar="N", help="load N times 16 MB (default 1)"
    )
    parser.add_argument(
        "--fs", choices=("ext4", "xfs"), default="ext4", help="file system of the volumes"
    )
    parser.add_argument(
        "--out", type=Path, default=default_out, metavar="DIR", help="where the report goes"
    )
    parser.add_argument(
        "--interval", type=positive, default=1, metavar="S", help="seconds between iostat's samples"
    )
    parser.add_argument(
        "--dir", metavar="LABDIR", help="directory of the lab, as given to lab/cluster up"
    )
    return parser.parse_args(words)


def main(words: list[str], dist: Path, cluster_program: Path) -> int:
    args = parse_arguments(words)
    if shutil.which("iostat") is None:
        raise DrillError("iostat is missing: install the package sysstat (./dev deps does it)")
    out = args.out.absolute()
    if out.exists():
        raise DrillError(f"{out} exists: give another --out, so that no report is overwritten")
    out.mkdir(parents=True)
    options = Options(args.how, args.copies, args.fs, out, args.interval, dist)
    drill = Drill(options, Cluster(cluster_program, args.dir))
    try:
        drill.run()
    finally:
        data = report.as_json(options, drill.timeline, drill.findings)
        file = report.write(out, data, plots.draw(out, data))
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
    return 0 if data["passed"] else 1


def interrupted(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, interrupted)
    try:
        sys.exit(
            main(sys.argv[1:], Path(os.environ["CLEAT_CASSANDRA_DIST"]), LAB.parent / "cluster")
        )
    except DrillError as problem:
        sys.exit(f"drill: {problem}")
    except KeyboardInterrupt:
        sys.exit("drill: interrupted; everything it started is put away")
