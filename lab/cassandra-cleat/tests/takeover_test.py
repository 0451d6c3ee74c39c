"""A whole takeover, watched through processes, on a lab/kubernetes that only says its lines."""

from __future__ import annotations

import json
import tempfile
import unittest
from pathlib import Path

from drill_lib.process import DrillError
from drill_lib.timeline import Timeline

from failover.kubernetes import Kubernetes
from failover.mounts import Mount
from failover.move import Place
from failover.ring import Member
from failover.steps import STEPS
from failover.takeover import Takeover

from .move_test import PLACE, attachment, pod
from .parsers_test import MOUNTED

# Each command is answered by the file named after its words; a watch then stays open.
PROGRAM = """\
#!/bin/sh
here=$(dirname "$0")
case "$*" in
  *"get pods"*--watch*) cat "$here/pods"; exec sleep 60 ;;
  *"get volumeattachments"*--watch*) cat "$here/attachments"; exec sleep 60 ;;
  "on cassandra1 "*) cat "$here/mounted" ;;
  "kubectl logs cassandra-0") cat "$here/log" ;;
  "kubectl get events "*) cat "$here/events" ;;
  *) echo "not asked for: $*" >&2; exit 1 ;;
esac
"""
LOG = """\
INFO  [main] 2026-11-22 19:19:02,029 CommitLog.java:197 - No commitlog files found; skipping replay
INFO  [main] 2026-11-22 19:19:12,381 PipelineConfigurator.java:148 - \
Starting listening for CQL clients on /10.244.1.9:9042 (unencrypted)...
"""


def changes(*kinds_and_objects: tuple[str, object]) -> str:
    return "\n".join(
        json.dumps({"type": kind, "object": thing}, indent=2) for kind, thing in kinds_and_objects
    )


class Takeovers(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.lab = Path(directory.name)
        program = self.lab / "kubernetes"
        program.write_text(PROGRAM)
        program.chmod(0o755)
        self.kubernetes = Kubernetes(program)
        self.timeline = Timeline(str, STEPS)
        self.mounts: list[tuple[Place, Mount]] = []
        (self.lab / "mounted").write_text(MOUNTED)
        (self.lab / "log").write_text(LOG)
        (self.lab / "events").write_text("0/3 nodes are available\n")
        self.say_attachments()

    def say_attachments(self) -> None:
        gone, come = attachment("cassandra3", False), attachment("cassandra1", True, "pvc-77")
        (self.lab / "attachments").write_text(changes(("DELETED", gone), ("MODIFIED", come)))

    def say_pods(self, *new: object) -> None:
        old = pod("old", "cassandra3", "running", deletionTimestamp="2026-11-22T19:00:00Z")
        steps = [("MODIFIED", old), ("DELETED", old), *(("MODIFIED", each) for each in new)]
        (self.lab / "pods").write_text(changes(*steps))

    def take_over(self, seconds: float) -> None:
        def note(place: Place, mount: Mount) -> None:
            self.mounts.append((place, mount))

        with Takeover(self.kubernetes, PLACE, self.timeline, note) as takeover:
            takeover.wait_ready(seconds, seconds)
            takeover.read_log(Member(self.kubernetes, "cassandra-0"))

    def test_every_step_of_it_is_marked(self) -> None:
        self.say_pods(pod("new"), pod("new", "cassandra1", "running", True))
        self.take_over(10)
        others = {"load_started", "loss", "fenced", "gossip_up", "hints_delivered"}
        others |= {"load_finished", "repair_done", "rows_checked"}
        self.assertEqual(others, set(self.timeline.missing()))
        [(place, mount)] = self.mounts
        self.assertEqual(("new", "cassandra1"), (place.uid, place.node))
        self.assertEqual("pvc-77", place.persistent_volume, "a new one, as its mount says")
        self.assertEqual("loop12", mount.device)

    def test_why_it_is_not_scheduled_is_told(self) -> None:
        self.say_pods(pod("new"))
        with self.assertRaisesRegex(DrillError, "not scheduled anew(.|\n)*0/3 nodes"):
            self.take_over(0.5)

    def test_why_it_is_not_ready_is_told(self) -> None:
        self.say_pods(pod("new", "cassandra1", "waiting"))
        with self.assertRaisesRegex(DrillError, "Ready: not within(.|\n)*0/3 nodes"):
            self.take_over(0.5)


if __name__ == "__main__":
    unittest.main()
