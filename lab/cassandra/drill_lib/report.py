"""report.json, with all that was measured, and report.md, which a person reads: what the reports of
all drills have in common."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .nodes import LOST
from .proof import Findings, Options
from .tables import Figure, devices_table, figure_rows, rows_table, seconds, timeline_table
from .timeline import Timeline

# A heading and the lines below it.
Section = tuple[str, Sequence[str]]


def passed(timeline: Timeline, findings: Findings) -> bool:
    comparison = findings.comparison
    return (
        not findings.failure
        and not timeline.missing()
        and comparison is not None
        and comparison.perfect()
        and findings.rows_loaded == findings.rows_in_file
    )


def as_json(
    options: Options, timeline: Timeline, findings: Findings, figures: Sequence[Figure]
) -> dict[str, Any]:
    comparison = findings.comparison
    return {
        "passed": passed(timeline, findings),
        "failure": findings.failure,
        "steps_not_seen": timeline.missing(),
        "how": options.how,
        "copies": options.copies,
        "rows_in_file": findings.rows_in_file,
        "rows_loaded": findings.rows_loaded,
        "rows_found": comparison.rows_found if comparison else None,
        "rows_lost": comparison.rows_lost if comparison else None,
        "comparison": comparison.as_json() if comparison else None,
        "copy_retries": findings.copy_retries,
        "longest_pause_of_load_s": round(findings.longest_pause_s, 3),
        "repair_sync_tasks": findings.repair_sync_tasks,
        "replicas_equal_s": findings.replicas_equal_s,
        "figures": {name: timeline.between(first, last) for name, _, first, last in figures},
        "timeline": timeline.as_json(),
        "volumes_before": findings.volumes_before.splitlines(),
        "volumes_after": findings.volumes_after.splitlines(),
        "devices": [attachment.as_json() for attachment in findings.attachments],
        "load_progress": [asdict(progress) for progress in findings.progress],
    }


def figures_table(data: dict[str, Any], figures: Sequence[Figure]) -> list[str]:
    equal = seconds(data["replicas_equal_s"])
    what = f"`cleat v check`: all replicas equal, {LOST} being back, after"
    return [*figure_rows(data, figures), f"| {what} | {equal} |"]


def code(lines: Sequence[str]) -> list[str]:
    return ["```", *lines, "```"]


def sections(
    data: dict[str, Any], figures: Sequence[Figure], more: Sequence[Section]
) -> list[Section]:
    failure = ["    " + line for line in data["failure"].splitlines()]
    return [
        *([("What failed", failure)] if failure else []),
        ("Rows (RPO)", rows_table(data)),
        ("Timeline", timeline_table(data)),
        ("Figures (RTO)", figures_table(data, figures)),
        *more,
        ("Volumes before the loss", code(data["volumes_before"])),
        ("Volumes after it", code(data["volumes_after"])),
        ("Devices under the load (iostat)", devices_table(data)),
    ]


def as_markdown(
    title: str, about: str, data: dict[str, Any], parts: Sequence[Section], plots: Sequence[str]
) -> str:
    verdict = "passed: no row lost" if data["passed"] else "FAILED"
    lines = [f"# {title}: {verdict}", "", about, ""]
    for heading, body in parts:
        lines += [f"## {heading}", "", *body, ""]
    for plot in plots:
        lines += [f"![{plot}]({plot})", ""]
    return "\n".join(lines)


def write(out: Path, data: dict[str, Any], markdown: str) -> Path:
    (out / "report.json").write_text(json.dumps(data, indent=1) + "\n")
    report = out / "report.md"
    report.write_text(markdown)
    return report
