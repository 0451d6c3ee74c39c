"""report.json, with all that was measured, and report.md, which a person reads."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .drill import Findings
from .scene import LOST, SURVIVOR, TAKEOVER, Options
from .tables import Figure, devices_table, figure_rows, rows_table, seconds, timeline_table
from .timeline import Timeline

RTO: tuple[Figure, ...] = (
    ("storage_s", "storage: loss until the volume is mounted", "loss", "mounted"),
    ("attach_s", "of which: loss until attached", "loss", "attached"),
    (
        "cassandra_start_s",
        "Cassandra: process started until CQL ready",
        "process_started",
        "cql_ready",
    ),
    ("replay_s", "of which: commit log replay", "replay_begin", "replay_end"),
    ("rto_s", "**loss until CQL ready (RTO)**", "loss", "cql_ready"),
    ("hints_s", "CQL ready until hints delivered", "cql_ready", "hints_delivered"),
    ("whole_s", "loss until hints delivered", "loss", "hints_delivered"),
)

HOW = {
    "crash": f"everything on {LOST} was killed with SIGKILL",
    "isolate": f"{LOST} was cut from the network and went on running",
    "drain": f"{LOST} was drained and its volume detached cleanly",
}


def passed(timeline: Timeline, findings: Findings) -> bool:
    comparison = findings.comparison
    return (
        not findings.failure
        and not timeline.missing()
        and comparison is not None
        and comparison.perfect()
        and findings.rows_loaded == findings.rows_in_file
    )


def as_json(options: Options, timeline: Timeline, findings: Findings) -> dict[str, Any]:
    comparison = findings.comparison
    return {
        "passed": passed(timeline, findings),
        "failure": findings.failure,
        "steps_not_seen": timeline.missing(),
        "how": options.how,
        "copies": options.copies,
        "fs": options.fs,
        "rows_in_file": findings.rows_in_file,
        "rows_loaded": findings.rows_loaded,
        "rows_found": comparison.rows_found if comparison else None,
        "rows_lost": comparison.rows_lost if comparison else None,
        "comparison": comparison.as_json() if comparison else None,
        "copy_retries": findings.copy_retries,
        "longest_pause_of_load_s": round(findings.longest_pause_s, 3),
        "repair_sync_tasks": findings.repair_sync_tasks,
        "replicas_equal_s": findings.replicas_equal_s,
        "figures": {name: timeline.between(first, last) for name, _, first, last in RTO},
        "timeline": timeline.as_json(),
        "volumes_before": findings.volumes_before.splitlines(),
        "volumes_after": findings.volumes_after.splitlines(),
        "devices": [attachment.as_json() for attachment in findings.attachments],
        "load_progress": [asdict(progress) for progress in findings.progress],
    }


def figures_table(data: dict[str, Any]) -> list[str]:
    equal = seconds(data["replicas_equal_s"])
    what = f"`cleat v check`: all replicas equal, {LOST} being back, after"
    return [*figure_rows(data, RTO), f"| {what} | {equal} |"]


def as_markdown(data: dict[str, Any], plots: list[str]) -> str:
    verdict = "passed: no row lost" if data["passed"] else "FAILED"
    parts = [
        f"# Cassandra drill: {verdict}",
        "",
        f"Two Cassandra nodes on {SURVIVOR} and {LOST}, each on an HA 2 volume ({data['fs']}). "
        f"Under the load of cqlsh COPY, {HOW[data['how']]}; the volume was attached on {TAKEOVER} "
        "and Cassandra started there with the same data, as the same member of the ring.",
        "",
    ]
    if data["failure"]:
        parts += ["What failed:", "", *("    " + line for line in data["failure"].splitlines()), ""]
    parts += ["## Rows", "", *rows_table(data), ""]
    parts += ["## Timeline", "", *timeline_table(data), ""]
    parts += ["## Figures", "", *figures_table(data), ""]
    parts += ["## Volumes before the loss", "", "```", *data["volumes_before"], "```", ""]
    parts += ["## Volumes after the takeover", "", "```", *data["volumes_after"], "```", ""]
    parts += ["## Devices under the load (iostat)", "", *devices_table(data), ""]
    for plot in plots:
        parts += [f"![{plot}]({plot})", ""]
    return "\n".join(parts)


def write(out: Path, data: dict[str, Any], plots: list[str]) -> Path:
    (out / "report.json").write_text(json.dumps(data, indent=1) + "\n")
    report = out / "report.md"
    report.write_text(as_markdown(data, plots))
    return report
