"""The frame of every drill: its run, its report, its exit status."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import tempfile
import unittest
from collections.abc import Callable
from pathlib import Path

from drill_lib import command
from drill_lib.process import DrillError
from drill_lib.proof import Findings, Proof
from drill_lib.report import write
from drill_lib.rows import Comparison
from drill_lib.timeline import Timeline

from node_loss import report
from node_loss.scene import Options
from node_loss.steps import STEPS


class Frame(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.out = Path(directory.name)
        self.options = Options(
            how="crash", copies=2, out=self.out, interval=1, fs="ext4", dist=self.out
        )
        self.timeline = Timeline(str, STEPS)
        self.findings = Findings(rows_in_file=10, rows_loaded=10, comparison=Comparison(1, 10, 10))
        self.put_away = 0

    def see_every_step(self) -> None:
        for name in STEPS:
            self.timeline.mark(name, 1.0)

    def lose_step(self) -> None:
        raise DrillError("the node stays away")

    def end(self) -> None:
        self.put_away += 1

    def write_report(self) -> command.Report:
        data = report.as_json(self.options, self.timeline, self.findings)
        return data, write(self.out, data, report.as_markdown(data, ["load.png"]))

    def play(self, steps: Callable[[], None]) -> int:
        proof = Proof(self.options, self.timeline, self.findings)
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            return command.play(lambda: proof.run(steps, self.end), self.write_report)

    def test_all_seen(self) -> None:
        self.assertEqual(0, self.play(self.see_every_step))
        self.assertEqual(1, self.put_away)
        text = (self.out / "report.md").read_text()
        self.assertIn("# Cassandra drill: passed: no row lost", text)
        self.assertIn("![load.png](load.png)", text)
        self.assertEqual("ext4", json.loads((self.out / "report.json").read_text())["fs"])

    def test_a_step_fails(self) -> None:
        self.assertEqual(1, self.play(self.lose_step))
        self.assertEqual(1, self.put_away)
        self.assertIn("    the node stays away", (self.out / "report.md").read_text())

    def test_interrupted_it_is_reported_all_the_same(self) -> None:
        def interrupt() -> None:
            raise KeyboardInterrupt

        with self.assertRaises(KeyboardInterrupt):
            self.play(interrupt)
        self.assertEqual(1, self.put_away)
        data = json.loads((self.out / "report.json").read_text())
        self.assertEqual((False, "interrupted"), (data["passed"], data["failure"]))

    def test_limits_grow_with_the_load(self) -> None:
        self.assertEqual(20.0, Proof(self.options, self.timeline, self.findings).per_copy(10.0))


class CommandLine(unittest.TestCase):
    def test_numbers(self) -> None:
        self.assertEqual((0, 1), (command.natural("0"), command.positive("1")))
        for take, text in (command.positive, "0"), (command.natural, "-1"), (command.natural, "x"):
            with self.assertRaises((ValueError, argparse.ArgumentTypeError)):
                take(text)

    def test_first_way_is_the_default(self) -> None:
        parser = command.parser("cassandra", "", ("crash", "drain"), 3)
        self.assertEqual(("crash", 3), (parser.parse_args([]).how, parser.parse_args([]).interval))


if __name__ == "__main__":
    unittest.main()
