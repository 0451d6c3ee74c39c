"""report.json, with all that was measured, and report.md, which a person reads."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from drill_lib.tables import devices_table, figure_rows, rows_table, seconds, timeline_table
from drill_lib.timeline import Timeline

from .drill import Findings
from .recovery import Recovery
from .scene import LOST, SURVIVOR, Options
from .steps import RTO

HOW = {
    "cordon": f"{LOST} was cordoned and its pod deleted",
    "node-crash": f"everything on {LOST} was killed with SIGKILL",
    "isolate": f"{LOST} was cut from the network and went on running",
}
DRILL = "drill"
LABELS = {
    DRILL: "the pod moves with its volume, under load (this drill)",
    "move": "the pod moves with its volume",
    "restore": "volume lost: restore from a Cleat snapshot, then repair",
    "bootstrap": "volume lost: full bootstrap on an empty volume",
}


def passed(timeline: Timeline, findings: Findings) -> bool:
    comparison = findings.comparison
    return (
        not findings.failure
        and not timeline.missing()
        and comparison is not None
        and comparison.perfect()
        and findings.ballast_wrong == 0
        and findings.rows_loaded == findings.rows_in_file
        and all(recovery.passed() for recovery in findings.recoveries)
    )


def ways_back(timeline: Timeline, findings: Findings) -> list[dict[str, Any]]:
    """The failover and what it is compared with: seconds from the loss to each stage."""
    rows = [way_back(DRILL, timeline, "hints_delivered")]
    for recovery in findings.recoveries:
        way = way_back(recovery.kind, recovery.timeline, "whole")
        way["received_mib"] = recovery.received_mib
        way["sync_tasks"] = recovery.sync_tasks
        way["rows_wrong"] = recovery.rows_wrong
        rows.append(way)
    return rows


def way_back(kind: str, timeline: Timeline, whole: str) -> dict[str, Any]:
    return {
        "kind": kind,
        "mounted_s": timeline.between("loss", "mounted"),
        "cql_ready_s": timeline.between("loss", "cql_ready"),
        "whole_s": timeline.between("loss", whole),
    }


def ratios(ways: list[dict[str, Any]]) -> dict[str, float]:
    """How many times as long as the others, on the same data and without load as it is, a full
    bootstrap takes."""
    by_kind = {way["kind"]: way for way in ways}
    bootstrap = by_kind.get("bootstrap")
    if bootstrap is None:
        return {}
    found = {}
    for kind in ("move", "restore"):
        for stage in ("cql_ready_s", "whole_s"):
            own = by_kind.get(kind, {}).get(stage)
            if own and bootstrap[stage]:
                found[f"bootstrap_to_{kind}_{stage.removesuffix('_s')}"] = bootstrap[stage] / own
    return found


def recovery_json(recovery: Recovery) -> dict[str, Any]:
    return {
        "kind": recovery.kind,
        "passed": recovery.passed(),
        "steps_not_seen": recovery.steps_not_seen(),
        "timeline": recovery.timeline.as_json(),
    }


def as_json(options: Options, timeline: Timeline, findings: Findings) -> dict[str, Any]:
    comparison = findings.comparison
    ways = ways_back(timeline, findings)
    return {
        "passed": passed(timeline, findings),
        "failure": findings.failure,
        "steps_not_seen": timeline.missing(),
        "how": options.how,
        "copies": options.copies,
        "ballast_mib": options.ballast_mib,
        "rows_in_file": findings.rows_in_file,
        "rows_loaded": findings.rows_loaded,
        "rows_found": comparison.rows_found if comparison else None,
        "rows_lost": comparison.rows_lost if comparison else None,
        "comparison": comparison.as_json() if comparison else None,
        "ballast_wrong": findings.ballast_wrong,
        "copy_retries": findings.copy_retries,
        "longest_pause_of_load_s": round(findings.longest_pause_s, 3),
        "repair_sync_tasks": findings.repair_sync_tasks,
        "replicas_equal_s": findings.replicas_equal_s,
        "figures": {name: timeline.between(first, last) for name, _, first, last in RTO},
        "ways_back": ways,
        "ratios": ratios(ways),
        "timeline": timeline.as_json(),
        "recoveries": [recovery_json(recovery) for recovery in findings.recoveries],
        "volumes_before": findings.volumes_before.splitlines(),
        "volumes_after": findings.volumes_after.splitlines(),
        "devices": [attachment.as_json() for attachment in findings.attachments],
        "load_progress": [asdict(progress) for progress in findings.progress],
    }


def figures_table(data: dict[str, Any]) -> list[str]:
    equal = seconds(data["replicas_equal_s"])
    return [
        *figure_rows(data, RTO),
        f"| `cleat v check`: all replicas equal, {LOST} being back, after | {equal} |",
    ]


def ways_table(data: dict[str, Any]) -> list[str]:
    lines = [
        "| after the loss | volume mounted | CQL ready | data whole | streamed | ranges repaired |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for way in data["ways_back"]:
        stages = (seconds(way[stage]) for stage in ("mounted_s", "cql_ready_s", "whole_s"))
        streamed = f"{way['received_mib']:.0f} MiB" if "received_mib" in way else "-"
        tasks = way.get("sync_tasks", data["repair_sync_tasks"])
        lines.append(f"| {LABELS[way['kind']]} | {' | '.join(stages)} | {streamed} | {tasks} |")
    lines += ["", *(f"- {ratio_text(name, ratio)}" for name, ratio in data["ratios"].items())]
    return lines


def ratio_text(name: str, ratio: float) -> str:
    way, _, stage = name.removeprefix("bootstrap_to_").partition("_")
    stage = {"cql_ready": "until CQL is ready", "whole": "until the data is whole"}[stage]
    return f"{stage}, a bootstrap takes {ratio:.1f} times as long as: {LABELS[way]}"


def as_markdown(data: dict[str, Any], plots: list[str]) -> str:
    verdict = "passed: no row lost" if data["passed"] else "FAILED"
    parts = [
        f"# Cassandra on Kubernetes: {verdict}",
        "",
        "Two pods of a StatefulSet, each on a volume of its own with two replicas, and "
        f"{data['ballast_mib']} MiB of ballast in them. Under the load of cqlsh COPY in the pod on "
        f"{SURVIVOR}, {HOW[data['how']]}; the pod came back on another node, on its volume, as the "
        "same member of the ring.",
        "",
    ]
    if data["failure"]:
        parts += ["What failed:", "", *("    " + line for line in data["failure"].splitlines()), ""]
    parts += ["## Rows (RPO)", "", *rows_table(data), ""]
    parts += ["## Timeline", "", *timeline_table(data), ""]
    parts += ["## Figures (RTO)", "", *figures_table(data), ""]
    parts += ["## Beside it: other ways back, without load", "", *ways_table(data), ""]
    parts += ["## Volumes before the loss", "", "```", *data["volumes_before"], "```", ""]
    parts += ["## Volumes after the failover", "", "```", *data["volumes_after"], "```", ""]
    parts += ["## Devices under the load (iostat)", "", *devices_table(data), ""]
    for plot in plots:
        parts += [f"![{plot}]({plot})", ""]
    return "\n".join(parts)


def write(out: Path, data: dict[str, Any], plots: list[str]) -> Path:
    (out / "report.json").write_text(json.dumps(data, indent=1) + "\n")
    report = out / "report.md"
    report.write_text(as_markdown(data, plots))
    return report
