"""What the drill reads from kubectl, from mounts, from Cleat and from Cassandra's tools."""

from __future__ import annotations

import json
import unittest

from drill_lib import ballast
from drill_lib.log import parse_phases
from drill_lib.process import DrillError, run

from failover.cleat import epochs, only, whole_problem
from failover.mounts import parse_wait
from failover.ring import member_states, peer_up, received_mib
from failover.watch import JsonStream

CHANGES = [{"type": "ADDED", "object": {"note": "a } in a text"}}, {"type": "DELETED"}]


class Stream(unittest.TestCase):
    def test_values_come_whole_however_the_text_is_cut(self) -> None:
        text = "".join(json.dumps(change, indent=4) + "\n" for change in CHANGES)
        for size in (1, 2, 7, 1000):
            stream, found = JsonStream(), []
            for begin in range(0, len(text), size):
                found += list(stream.feed(text[begin : begin + size]))
            self.assertEqual(CHANGES, found)

    def test_nothing_yet(self) -> None:
        self.assertEqual([], list(JsonStream().feed('{"type": "ADD')))


MOUNTED = """\
1764151200.123456789
913 842 7:12 / /var/lib/kubelet/pods/1f2e/volumes/kubernetes.io~csi/pvc-77/mount rw,relatime \
shared:201 - ext4 /dev/loop12 rw
"""


class Mounts(unittest.TestCase):
    def test_time_and_device(self) -> None:
        mount = parse_wait(MOUNTED)
        self.assertEqual((1764151200.123456789, "loop12"), (mount.at, mount.device))
        self.assertEqual("pvc-77", mount.volume)

    def test_what_is_printed_before_is_passed_over(self) -> None:
        self.assertEqual("loop12", parse_wait("a warning\n" + MOUNTED).device)


class Inspected(unittest.TestCase):
    def test_one_volume_in_a_list(self) -> None:
        self.assertEqual({"name": "v"}, only([{"name": "v"}]))

    def test_anything_else_is_told(self) -> None:
        for answer in ([], {"name": "v"}, [{}, {}]):
            with self.assertRaises(DrillError):
                only(answer)


class Whole(unittest.TestCase):
    def volume(self, *states: str) -> dict[str, object]:
        return {"name": "pvc-1", "ha": 2, "replicas": [{"state": state} for state in states]}

    def test_all_in_sync(self) -> None:
        self.assertEqual("", whole_problem(self.volume("in_sync", "in_sync")))

    def test_one_behind(self) -> None:
        problem = whole_problem(self.volume("in_sync", "stale"))
        self.assertEqual("pvc-1: 1 of 2 in sync", problem)

    def test_one_missing(self) -> None:
        self.assertIn("1 of 2", whole_problem(self.volume("in_sync")))


class Epochs(unittest.TestCase):
    def test_answers_with_their_times(self) -> None:
        lines = [
            "10.5\n",
            '{"volumes": [{"epoch": "3"}]}\n',
            "10.7\n",
            "\n",
            "10.9\n",
            '{"epoch": 4}\n',
        ]
        self.assertEqual([(10.5, 3), (10.9, 4)], list(epochs(lines)))


STATUS = """\
Datacenter: datacenter1
=======================
Status=Up/Down
|/ State=Normal/Leaving/Joining/Moving
--  Address      Load       Tokens  Owns (effective)  Host ID                               Rack
UN  10.244.2.7   21.36 MiB  16      100.0%            0e3be2b7-5cbb-4a4b-a1ee-8ef2a5d0d8c1  rack1
DN  10.244.3.5   20.11 MiB  16      100.0%            77d1b8f4-b7a4-4f0e-9f31-42b1b2a3a0de  rack1
"""
PEER = """\
INFO  [GossipStage:1] 2026-11-22 19:19:05,100 Gossiper.java:1421 - InetAddress \
/10.244.2.17:7000 is now UP
INFO  [GossipStage:1] 2026-11-22 19:19:06,200 Gossiper.java:1421 - InetAddress \
/10.244.2.7:7000 is now UP
"""
STREAM = [
    "INFO  [Stream] 2026-11-22 19:20:00,000 StreamResultFuture.java:193 - [Stream #1 ID#0] Prepare "
    "completed. Receiving 63 files(551.741MiB), sending 0 files(0.000KiB)",
    "INFO  [Stream] 2026-11-22 19:20:00,000 StreamResultFuture.java:193 - [Stream #2 ID#0] Prepare "
    "completed. Receiving 1 files(512.000KiB), sending 0 files(0.000KiB)",
]


class Ring(unittest.TestCase):
    def test_states(self) -> None:
        self.assertEqual({"10.244.2.7": "UN", "10.244.3.5": "DN"}, member_states(STATUS))

    def test_up_is_of_that_address_only(self) -> None:
        phases = list(parse_phases(PEER.splitlines(), peer_up("10.244.2.7")))
        self.assertEqual(["gossip_up"], [phase.name for phase in phases])
        self.assertAlmostEqual(0.2, phases[0].at % 1)

    def test_streamed(self) -> None:
        self.assertAlmostEqual(552.241, received_mib(STREAM))
        self.assertEqual(0, received_mib(["Receiving nothing"]))


class Ballast(unittest.TestCase):
    def rows(self, count: int) -> list[tuple[int, bytes]]:
        return [(number, ballast.row_bytes(number)) for number in range(count)]

    def test_right(self) -> None:
        self.assertEqual(0, ballast.count_wrong(iter(self.rows(3)), 3))

    def test_missing_and_other_bytes(self) -> None:
        rows = self.rows(3)
        rows[1] = (1, rows[2][1])
        self.assertEqual(2, ballast.count_wrong(iter(rows), 4))

    def test_bytes_follow_from_the_number(self) -> None:
        self.assertEqual(ballast.ROW_BYTES, len(ballast.row_bytes(5)))
        self.assertEqual(ballast.row_bytes(5), ballast.row_bytes(5))


class Names(unittest.TestCase):
    def test_manifests_have_the_names_that_the_drill_uses(self) -> None:
        from failover import recovery, scene

        manifest = recovery.STATEFULSET.read_text()
        self.assertIn(f"- name: {scene.CLAIM}\n", manifest)
        self.assertIn(f"name: {recovery.REPLACE}\n", manifest)
        image = "lab.cleat.dev/cassandra:5.0.9\n"
        self.assertIn(f"image: {image}", manifest)
        for user in ("image/build", "start-cassandra.sh"):
            self.assertIn(f"={image}", (scene.HERE / user).read_text())


class Spec(unittest.TestCase):
    def test_is_what_deploy_has(self) -> None:
        from failover import scene

        directory = scene.HERE / "StorageClass"
        made = run([str(directory / "make-spec"), "-"], 10)
        spec = (directory / "cleat-spec.yaml").read_text()
        self.assertEqual(made, spec, "run lab/cassandra-cleat/StorageClass/make-spec")


if __name__ == "__main__":
    unittest.main()
