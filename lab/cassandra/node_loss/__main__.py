"""Command line of the drill. `lab/cassandra/drill` calls it in the Python that `prepare` made."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from drill_lib import command, plots
from drill_lib.report import write

from . import report
from .cassandra import LAB
from .cluster import Cluster
from .drill import Drill
from .scene import Options
from .steps import MARKS


def parse_arguments(words: list[str]) -> argparse.Namespace:
    parser = command.parser(
        "cassandra",
        "Loads a Cassandra of two nodes on a running lab/cluster, loses one of them, lets it go on "
        "from its volume on another node, and checks that no row is lost. Exit status 0 only if "
        "none is.",
        ways=("crash", "isolate", "drain"),
        interval=1,
    )
    parser.add_argument(
        "--fs", choices=("ext4", "xfs"), default="ext4", help="file system of the volumes"
    )
    parser.add_argument(
        "--dir", metavar="LABDIR", help="directory of the lab, as given to lab/cluster up"
    )
    return parser.parse_args(words)


def write_report(options: Options, drill: Drill) -> command.Report:
    out, data = options.out, report.as_json(options, drill.timeline, drill.findings)
    markdown = report.as_markdown(data, plots.draw(out, data, MARKS))
    return data, write(out, data, markdown)


def main(words: list[str]) -> int:
    args = parse_arguments(words)
    options = Options(
        **command.options(args),
        fs=args.fs,
        dist=Path(os.environ["CLEAT_CASSANDRA_DIST"]),
    )
    drill = Drill(options, Cluster(LAB.parent / "cluster", args.dir))
    return command.play(drill.run, lambda: write_report(options, drill))


if __name__ == "__main__":
    command.run(main)
