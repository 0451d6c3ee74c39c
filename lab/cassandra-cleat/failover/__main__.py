"""Command line of the drill. `lab/cassandra-cleat/drill` calls it in a Python with matplotlib."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

from drill_lib import command
from drill_lib.report import write

from . import plots, report
from .drill import Drill
from .kubernetes import Kubernetes
from .recovery import KINDS
from .scene import Options

LAB = Path(__file__).resolve().parents[2]
COMPARE = {"none": (), "all": KINDS, **{kind: (kind,) for kind in KINDS}}


def parse_arguments(words: list[str]) -> argparse.Namespace:
    parser = command.parser(
        "cassandra-cleat",
        "Loads a Cassandra of two pods on a running lab/kubernetes, takes the node from one of "
        "them (cordon: and its pod is deleted), sees it come back on its volume elsewhere, and "
        "checks that no row is lost. Exit status 0 only if none is.",
        ways=("cordon", "node-crash", "isolate"),
        interval=2,
    )
    parser.add_argument(
        "--ballast",
        type=command.natural,
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
        "--count",
        type=command.positive,
        metavar="N",
        help="iostat's samples (default: until the end)",
    )
    return parser.parse_args(words)


def write_report(options: Options, drill: Drill) -> command.Report:
    out, data = options.out, report.as_json(options, drill.timeline, drill.findings)
    markdown = report.as_markdown(data, plots.draw(out, data))
    return data, write(out, data, markdown)


def main(words: list[str]) -> int:
    args = parse_arguments(words)
    # The pods' clocks and logs are in UTC.
    os.environ["TZ"] = "UTC"
    time.tzset()
    options = Options(
        **command.options(args),
        count=args.count,
        ballast_mib=args.ballast,
        compare=COMPARE[args.compare],
    )
    drill = Drill(options, Kubernetes(LAB / "kubernetes"))
    return command.play(drill.run, lambda: write_report(options, drill))


if __name__ == "__main__":
    command.run(main)
