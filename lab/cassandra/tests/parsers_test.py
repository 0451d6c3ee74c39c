"""What the drill reads from the programs it runs. Lines are as the programs wrote them."""

from __future__ import annotations

import datetime
import unittest

from drill_lib import iostat, rows
from drill_lib.inspected import find_epoch
from drill_lib.load import CopyOutput, copy_statement
from drill_lib.log import count_sync_tasks, parse_phases
from drill_lib.timeline import Timeline

from node_loss.steps import STEPS

TAKEN_OVER = """\
INFO  [main] 2026-11-22 19:18:39,599 DatabaseDescriptor.java:590 - Global memtable on-heap threshold
INFO  [main] 2026-11-22 19:19:02,029 CommitLog.java:206 - Replaying /d/commitlog/CommitLog-7-17.log
WARNING: A terminally deprecated method in java.lang.System has been called
INFO  [main] 2026-11-22 19:19:05,946 CommitLog.java:210 - Log replay complete, \
440 replayed mutations in 3905 ms
INFO  [main] 2026-11-22 19:19:12,381 PipelineConfigurator.java:148 - \
Starting listening for CQL clients on /10.91.0.11:9042 (unencrypted)...
"""
NOTHING_TO_REPLAY = """\
INFO  [main] 2026-11-22 19:19:02,029 CommitLog.java:197 - No commitlog files found; skipping replay
"""


def local(text: str) -> float:
    return datetime.datetime.strptime(text, "%Y-%m-%d %H:%M:%S.%f").timestamp()


class LogPhases(unittest.TestCase):
    def test_start_with_replay(self) -> None:
        phases = list(parse_phases(TAKEN_OVER.splitlines()))
        self.assertEqual(["replay_begin", "replay_end", "cql_ready"], [p.name for p in phases])
        self.assertAlmostEqual(local("2026-11-22 19:19:02.029"), phases[0].at)
        self.assertEqual("440 replayed mutations", phases[1].note)
        self.assertAlmostEqual(local("2026-11-22 19:19:12.381"), phases[2].at)

    def test_nothing_to_replay_is_both_ends(self) -> None:
        timeline = Timeline(str, STEPS)
        for phase in parse_phases(NOTHING_TO_REPLAY.splitlines()):
            timeline.mark(phase.name, phase.at, phase.note)
        self.assertEqual(0.0, timeline.between("replay_begin", "replay_end"))

    def test_line_without_time_is_no_phase(self) -> None:
        self.assertEqual([], list(parse_phases(["Starting listening for CQL clients on /1.2.3.4"])))

    def test_sync_tasks_of_all_repairs(self) -> None:
        lines = [
            "[repair #1] Created 2 sync tasks based on",
            "other",
            "Created 0 sync tasks",
            "Created 5 sync tasks",
        ]
        self.assertEqual(7, count_sync_tasks(lines))


DISK = """{"disk_device": "%s", "r/s": 1.00, "w/s": 80.00, "f/s": 44.00, "rkB/s": 512.00,
 "wkB/s": 9216.00, "w_await": 1.44, "util": 3.60}"""
STATISTICS = """{"sysstat": {
	"hosts": [
		{
			"nodename": "vm", "date": "2026-11-22",
			"statistics": [
				{
					"timestamp": "2026-11-22T19:05:27+0000",
					"disk": [%s, %s]
				},
				{
					"timestamp": "2026-11-22T20:05:28+0100",
					"disk": [%s]
				}
			]
		}
	]
}}
""" % (DISK % "loop3", DISK % "vda", DISK % "loop3")


class IostatJson(unittest.TestCase):
    def test_whole(self) -> None:
        samples = list(iostat.parse(STATISTICS))
        self.assertEqual(["loop3", "vda", "loop3"], [device for device, _ in samples])
        first = samples[0][1]
        self.assertEqual(
            (80.0, 44.0, 9.0, 0.5),
            (first.writes_per_s, first.flushes_per_s, first.write_mb_per_s, first.read_mb_per_s),
        )
        self.assertEqual(1.0, samples[2][1].at - first.at)

    def test_cut_off_anywhere(self) -> None:
        for length in range(len(STATISTICS)):
            self.assertLessEqual(len(list(iostat.parse(STATISTICS[:length]))), 3)
        whole_first = STATISTICS.index('"timestamp": "2026-11-22T20')
        self.assertEqual(2, len(list(iostat.parse(STATISTICS[:whole_first]))))

    def test_empty(self) -> None:
        self.assertEqual([], list(iostat.parse("")))

    def test_sample_belongs_to_its_time(self) -> None:
        attachment = iostat.Attachment("v", "cassandra3", "loop3", since=10, until=20)
        self.assertEqual(
            [False, True, True, False], [attachment.covers(at) for at in (9, 10, 20, 21)]
        )


class CqlshOutput(unittest.TestCase):
    def test_load_with_a_pause_and_retries(self) -> None:
        output = CopyOutput()
        retry = (
            "copy.cql:2:Failed to import 20 rows: ConnectionShutdown - [Errno 104] Connection "
            "reset by peer,  will retry later, attempt 1 of 50"
        )
        for at, line in (
            (1.0, "Processed: 1000 rows; Rate:    4125 rows/s; Avg. rate:    4125 rows/s"),
            (2.0, "Processed: 3000 rows; Rate:    5619 rows/s; Avg. rate:    5222 rows/s"),
            (2.5, retry),
            (3.0, "Processed: 3000 rows; Rate:    2810 rows/s; Avg. rate:    4222 rows/s"),
            (6.0, "Processed: 4000 rows; Rate:     400 rows/s; Avg. rate:    2222 rows/s"),
            (
                7.0,
                "4000 rows imported from 1 files in 0 day, 0 hour, 1 minutes, and 38.946 seconds "
                "(3 skipped).",
            ),
        ):
            output.feed(line + "\n", at)
        self.assertEqual(
            [(1.0, 1000), (2.0, 3000), (6.0, 4000)], [(p.at, p.rows) for p in output.progress]
        )
        self.assertEqual(4.0, output.longest_pause())
        self.assertEqual((1, 4000, 3), (output.retries, output.rows_imported, output.rows_skipped))

    def test_unfinished(self) -> None:
        self.assertIsNone(CopyOutput().rows_imported)
        self.assertEqual(0, CopyOutput().rows_so_far())

    def test_statement_never_ends_because_of_failed_batches(self) -> None:
        from pathlib import Path

        statement = copy_statement(Path("/o/w.csv"), Path("/o/r.csv"), 283357)
        self.assertIn("FROM '/o/w.csv' WITH MAXINSERTERRORS = -1 AND", statement)
        self.assertTrue(statement.endswith(";\n"))


class Epoch(unittest.TestCase):
    def test_found_at_any_depth_the_outermost_first(self) -> None:
        replica = {"node": "cassandra1", "epoch": "2"}
        self.assertEqual(3, find_epoch({"replicas": [replica], "epoch": "3"}))
        self.assertEqual(7, find_epoch([{"volume": {"name": "v", "epoch": 7}}]))

    def test_missing(self) -> None:
        self.assertIsNone(find_epoch({"name": "v", "replicas": []}))


LINES = (
    "725030:14732,2014,6,11,22,20.8,7.9,1015.9,290,4,8,0,,0\n",
    "725030:14732,2014,6,11,21,22.1,15,,290,4.1,,0,,0\n",
    "725030:14732,2013,6,11,21,22.1,15,,290,4.1,,0,,0\n",
)
NEWEST = ("725030:14732", 2014, 6, 11, 22, 20.8, 7.9, 1015.9, 290.0, 4.0, "8", 0.0, None, 0.0)


class Rows(unittest.TestCase):
    def table(self) -> dict[rows.Partition, list[rows.Row]]:
        return {partition: list(want.values()) for partition, want in rows.partitions(LINES)}

    def compare(self, table: dict[rows.Partition, list[rows.Row]]) -> rows.Comparison:
        return rows.compare(LINES, lambda partition: table[partition])

    def test_row_as_the_driver_gives_it(self) -> None:
        self.assertEqual(NEWEST, self.table()["725030:14732", 2014][0])

    def test_equal(self) -> None:
        result = self.compare(self.table())
        self.assertTrue(result.perfect())
        self.assertEqual((2, 3, 3), (result.partitions, result.rows_expected, result.rows_found))

    def test_lost(self) -> None:
        table = self.table()
        table["725030:14732", 2014].pop()
        result = self.compare(table)
        self.assertEqual((2, 1, False), (result.rows_found, result.rows_lost, result.perfect()))
        self.assertIn("lost: ('725030:14732', 2014, 6, 11, 21)", result.examples)

    def test_different_value(self) -> None:
        table = self.table()
        table["725030:14732", 2014][0] = NEWEST[:5] + (20.9,) + NEWEST[6:]
        result = self.compare(table)
        self.assertEqual((0, 1, False), (result.rows_lost, result.rows_different, result.perfect()))

    def test_extra(self) -> None:
        table = self.table()
        table["725030:14732", 2014].append(NEWEST[:4] + (23,) + NEWEST[5:])
        result = self.compare(table)
        self.assertEqual((1, False), (result.rows_extra, result.perfect()))

    def test_nothing_to_compare_proves_nothing(self) -> None:
        self.assertFalse(rows.compare((), lambda partition: ()).perfect())


class Steps(unittest.TestCase):
    def test_missing_until_all_are_marked(self) -> None:
        timeline = Timeline(str, STEPS)
        for name in list(STEPS)[1:]:
            timeline.mark(name, 1.0)
        self.assertEqual(["load_started"], timeline.missing())
        self.assertIsNone(timeline.between("load_started", "loss"))

    def test_first_mark_stands(self) -> None:
        timeline = Timeline(str, STEPS)
        timeline.mark("loss", 1.0)
        timeline.mark("loss", 2.0)
        self.assertEqual(1.0, timeline.at("loss"))

    def test_unknown_step_is_refused(self) -> None:
        with self.assertRaises(KeyError):
            Timeline(str, STEPS).mark("los", 1.0)


if __name__ == "__main__":
    unittest.main()
