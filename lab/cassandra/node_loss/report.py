"""The report of the drill on lab/cluster."""

from __future__ import annotations

from typing import Any

from drill_lib import report
from drill_lib.nodes import LOST, SURVIVOR, TAKEOVER
from drill_lib.proof import Findings
from drill_lib.timeline import Timeline

from .scene import Options
from .steps import RTO

HOW = {
    "crash": f"everything on {LOST} was killed with SIGKILL",
    "isolate": f"{LOST} was cut from the network and went on running",
    "drain": f"{LOST} was drained and its volume detached cleanly",
}


def as_json(options: Options, timeline: Timeline, findings: Findings) -> dict[str, Any]:
    return {**report.as_json(options, timeline, findings, RTO), "fs": options.fs}


def as_markdown(data: dict[str, Any], plots: list[str]) -> str:
    about = (
        f"Two Cassandra nodes on {SURVIVOR} and {LOST}, each on an HA 2 volume ({data['fs']}). "
        f"Under the load of cqlsh COPY, {HOW[data['how']]}; the volume was attached on {TAKEOVER} "
        "and Cassandra started there with the same data, as the same member of the ring."
    )
    parts = report.sections(data, RTO, [])
    return report.as_markdown("Cassandra drill", about, data, parts, plots)
