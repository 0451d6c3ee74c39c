"""The report of the drill on Kubernetes."""

from __future__ import annotations

from typing import Any

from drill_lib import report
from drill_lib.nodes import LOST, SURVIVOR
from drill_lib.tables import seconds
from drill_lib.timeline import Timeline

from .drill import Findings
from .recovery import Recovery
from .scene import Options
from .steps import DRILL, LABELS, RTO

HOW = {
    "cordon": f"{LOST} was cordoned and its pod deleted",
    "node-crash": f"everything on {LOST} was killed with SIGKILL",
    "isolate": f"{LOST} was cut from the network and went on running",
}


def passed(findings: Findings) -> bool:
    """What is to be seen beside that of every drill."""
    recoveries = findings.recoveries
    return findings.ballast_wrong == 0 and all(recovery.passed() for recovery in recoveries)


def not_seen(recoveries: list[Recovery]) -> list[str]:
    return [f"{each.kind}: {step}" for each in recoveries for step in each.steps_not_seen()]


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
    data = report.as_json(options, timeline, findings, RTO)
    ways = ways_back(timeline, findings)
    return {
        **data,
        "passed": data["passed"] and passed(findings),
        "steps_not_seen": data["steps_not_seen"] + not_seen(findings.recoveries),
        "ballast_mib": options.ballast_mib,
        "ballast_wrong": findings.ballast_wrong,
        "ways_back": ways,
        "ratios": ratios(ways),
        "recoveries": [recovery_json(recovery) for recovery in findings.recoveries],
    }


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
    about = (
        "Two pods of a StatefulSet, each on a volume of its own with two replicas, and "
        f"{data['ballast_mib']} MiB of ballast in them. Under the load of cqlsh COPY in the pod on "
        f"{SURVIVOR}, {HOW[data['how']]}; the pod came back on another node, on its volume, as the "
        "same member of the ring."
    )
    ways = ("Beside it: other ways back, without load", ways_table(data))
    parts = report.sections(data, RTO, [ways])
    return report.as_markdown("Cassandra on Kubernetes", about, data, parts, plots)
