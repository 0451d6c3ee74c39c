"""The steps of a pod's move, from changes as the API tells them; and what a report says of them."""

from __future__ import annotations

import unittest
from pathlib import Path
from typing import Any

from drill_lib.rows import Comparison
from drill_lib.timeline import Timeline

from failover import recovery, report
from failover.drill import Findings
from failover.move import Move, Place
from failover.scene import Options
from failover.steps import RECOVERY_STEPS, STEPS

PLACE = Place("cassandra-0", "old", "cassandra3", "pvc-1")


def pod(uid: str, node: str = "", state: str = "", ready: bool = False, **meta: str) -> Any:
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    statuses = [{"state": {state: {}}}] if state else []
    return {
        "metadata": {"name": "cassandra-0", "uid": uid, **meta},
        "spec": {"nodeName": node} if node else {},
        "status": {"conditions": conditions, "containerStatuses": statuses},
    }


def attachment(node: str, attached: bool, volume: str = "pvc-1") -> Any:
    return {
        "spec": {"nodeName": node, "source": {"persistentVolumeName": volume}},
        "status": {"attached": attached},
    }


class Moves(unittest.TestCase):
    def setUp(self) -> None:
        self.timeline = Timeline(str, STEPS)
        self.move = Move(PLACE, self.timeline.mark)

    def seen(self) -> list[tuple[str, float]]:
        return [(event.name, event.at) for event in self.timeline.events()]

    def test_ordered_move(self) -> None:
        gone = {"deletionTimestamp": "2026-11-22T19:00:00Z"}
        self.move.see_pod(0, "ADDED", pod("old", "cassandra3", "running", True))
        self.move.see_attachment(0, "ADDED", attachment("cassandra3", True))
        self.move.see_pod(1, "MODIFIED", pod("old", "cassandra3", "running", True, **gone))
        self.move.see_pod(3, "DELETED", pod("old", "cassandra3", **gone))
        self.move.see_pod(4, "ADDED", pod("new"))
        self.assertFalse(self.move.placed.is_set())
        self.move.see_pod(5, "MODIFIED", pod("new", "cassandra1"))
        self.assertEqual(("new", "cassandra1"), (self.move.uid, self.move.node))
        self.move.see_attachment(6, "DELETED", attachment("cassandra3", False))
        self.move.see_attachment(7, "ADDED", attachment("cassandra1", False))
        self.move.see_attachment(8, "MODIFIED", attachment("cassandra1", True))
        self.move.see_pod(9, "MODIFIED", pod("new", "cassandra1", "waiting"))
        self.move.see_pod(10, "MODIFIED", pod("new", "cassandra1", "running"))
        self.move.see_pod(20, "MODIFIED", pod("new", "cassandra1", "running", True))
        self.assertEqual(
            [
                ("deleted", 1),
                ("terminated", 3),
                ("scheduled", 5),
                ("detached", 6),
                ("attached", 8),
                ("container_started", 10),
                ("pod_ready", 20),
            ],
            self.seen(),
        )

    def test_forced_away_at_once(self) -> None:
        self.move.see_pod(30, "DELETED", pod("old", "cassandra3", "running"))
        self.assertEqual([("deleted", 30), ("terminated", 30)], self.seen())

    def test_a_volume_made_anew_is_known_once_it_is_mounted(self) -> None:
        # On the old node or on another; its attachment is told before or after the mount.
        self.move.see_attachment(0, "ADDED", attachment("cassandra3", True))
        self.move.see_attachment(2, "DELETED", attachment("cassandra3", True))
        self.move.see_attachment(4, "MODIFIED", attachment("cassandra3", True, "pvc-9"))
        self.assertEqual([("detached", 2)], self.seen())
        self.move.see_mounted("pvc-9")
        self.assertEqual([("detached", 2), ("attached", 4)], self.seen())

    def test_the_mount_may_be_seen_before_the_attachment(self) -> None:
        self.move.see_mounted("pvc-9")
        self.move.see_attachment(4, "MODIFIED", attachment("cassandra3", True, "pvc-9"))
        self.assertEqual([("attached", 4)], self.seen())

    def test_others_are_not_ours(self) -> None:
        other = pod("x", "cassandra2", "running", True)
        other["metadata"]["name"] = "cassandra-1"
        self.move.see_pod(1, "MODIFIED", other)
        self.move.see_attachment(1, "DELETED", attachment("cassandra3", False, "pvc-2"))
        self.move.see_attachment(1, "MODIFIED", attachment("cassandra2", True, "pvc-2"))
        self.assertEqual([], self.seen())


class Claims(unittest.TestCase):
    def test_claim_is_the_templates_with_the_snapshot_in_it(self) -> None:
        template = {
            "metadata": {"name": "cassandra-data", "labels": {"app": "cassandra"}},
            "spec": {"storageClassName": "cleat-cassandra", "resources": {"requests": {}}},
            "status": {"phase": "Pending"},
        }
        claim = recovery.claim_from_snapshot(template, "cassandra-0", "s")
        self.assertEqual("cassandra-data-cassandra-0", claim["metadata"]["name"])
        self.assertEqual({"app": "cassandra"}, claim["metadata"]["labels"])
        self.assertEqual("s", claim["spec"]["dataSource"]["name"])
        self.assertEqual("cleat-cassandra", claim["spec"]["storageClassName"])
        self.assertNotIn("status", claim)
        self.assertNotIn("dataSource", template["spec"])


def timeline_of(steps: dict[str, str], **seconds: float) -> Timeline:
    timeline = Timeline(str, steps)
    for at, step in enumerate(steps):
        timeline.mark(step, 100 + seconds.get(step, float(at)))
    return timeline


class Reports(unittest.TestCase):
    def setUp(self) -> None:
        self.options = Options(
            how="cordon",
            copies=1,
            out=Path("out"),
            interval=2,
            ballast_mib=256,
            compare=recovery.KINDS,
        )
        self.timeline = timeline_of(STEPS, loss=0, cql_ready=20, hints_delivered=40)
        others = [
            recovery.Recovery(kind, timeline_of(RECOVERY_STEPS, **times), 256.0, 0, 0)
            for kind, times in (
                ("move", {"loss": 0.0, "cql_ready": 20.0, "whole": 20.0}),
                ("restore", {"loss": 0.0, "cql_ready": 24.0, "whole": 40.0}),
                ("bootstrap", {"loss": 0.0, "cql_ready": 60.0, "whole": 60.0}),
            )
        ]
        self.findings = Findings(
            rows_in_file=10,
            rows_loaded=10,
            ballast_wrong=0,
            comparison=Comparison(1, 10, 10),
            recoveries=others,
        )

    def data(self) -> dict[str, Any]:
        return report.as_json(self.options, self.timeline, self.findings)

    def test_passed(self) -> None:
        self.assertTrue(self.data()["passed"])

    def test_every_step_is_needed(self) -> None:
        for left_out in STEPS:
            steps = {name: label for name, label in STEPS.items() if name != left_out}
            whole = timeline_of(steps)
            self.timeline = Timeline(str, STEPS)
            for event in whole.events():
                self.timeline.mark(event.name, event.at)
            self.assertFalse(self.data()["passed"], left_out)

    def test_what_must_not_be(self) -> None:
        for name, value in (
            ("rows_loaded", 9),
            ("ballast_wrong", 1),
            ("ballast_wrong", None),
            ("comparison", Comparison(1, 10, 9, rows_lost=1)),
            ("comparison", None),
            ("failure", "a step"),
        ):
            before = getattr(self.findings, name)
            setattr(self.findings, name, value)
            self.assertFalse(self.data()["passed"], f"{name} {value}")
            setattr(self.findings, name, before)

    def test_recovery_has_to_bring_every_row_back(self) -> None:
        self.findings.recoveries[0].rows_wrong = 1
        self.assertFalse(self.data()["passed"])

    def test_steps_that_a_recovery_lacks_are_told(self) -> None:
        steps = {name: label for name, label in RECOVERY_STEPS.items() if name != "attached"}
        seen = Timeline(str, RECOVERY_STEPS)
        for event in timeline_of(steps).events():
            seen.mark(event.name, event.at)
        self.findings.recoveries[1].timeline = seen
        data = self.data()
        self.assertEqual((False, ["restore: attached"]), (data["passed"], data["steps_not_seen"]))

    def test_ratios(self) -> None:
        ratios = self.data()["ratios"]
        self.assertEqual(3.0, ratios["bootstrap_to_move_cql_ready"])
        self.assertEqual(1.5, ratios["bootstrap_to_restore_whole"])

    def test_markdown_has_them(self) -> None:
        text = report.as_markdown(self.data(), ["load.png"])
        self.assertIn("until CQL is ready, a bootstrap takes 3.0 times as long", text)
        self.assertIn("| **loss until CQL ready (RTO)** | 20.0 s |", text)
        self.assertIn("![load.png](load.png)", text)

    def test_nothing_seen_at_all(self) -> None:
        data = report.as_json(self.options, Timeline(str, STEPS), Findings(failure="no lab"))
        self.assertFalse(data["passed"])
        self.assertIn("FAILED", report.as_markdown(data, []))


if __name__ == "__main__":
    unittest.main()
