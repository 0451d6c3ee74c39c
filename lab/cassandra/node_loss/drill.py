"""The drill itself: load, lose a node, take over, prove that nothing is lost."""

from __future__ import annotations

import threading
import time

from drill_lib.load import copy_statement
from drill_lib.nodes import SURVIVOR, TAKEOVER
from drill_lib.process import DrillError, attempt, run, say
from drill_lib.proof import (
    CHECK_SECONDS_PER_16MB,
    WRITE_CSV_SECONDS_PER_16MB,
    Findings,
    Proof,
)
from drill_lib.table import TABLE
from drill_lib.timeline import Timeline

from .cassandra import LAB
from .cluster import Cluster
from .scene import MOVED_VOLUME, START_SECONDS, Options, Scene
from .steps import STEPS

ATTACH_SECONDS = 120


class Drill:
    def __init__(self, options: Options, cluster: Cluster) -> None:
        self.timeline = Timeline(say, STEPS)
        self.findings = Findings()
        self._options = options
        self._csv = options.out / "weather.csv"
        self._scene = Scene(options, cluster)
        self._proof = Proof(options, self.timeline, self.findings)

    def run(self) -> None:
        self._proof.run(self._play, self._put_away)

    def _play(self) -> None:
        self._write_csv()
        self._scene.set_up()
        self.findings.volumes_before = self._show_volumes()
        host_id = self._scene.lost.host_id()
        self._load_until_loss()
        epoch = self._scene.volumes.epoch(SURVIVOR, MOVED_VOLUME)
        self.timeline.mark("loss", note=self._options.how)
        self._scene.lose()
        self._take_over(epoch)
        self._proof.finish_load(self._scene.survivor, host_id)
        self.findings.volumes_after = self._show_volumes()
        self._proof.repair(self._scene.survivor)
        self._check_rows()

    def _write_csv(self) -> None:
        copies = self._options.copies
        say(f"writing {16 * copies} MB of weather observations")
        command = [str(LAB / "weather.py"), "--copies", str(copies), str(self._csv)]
        run(command, self._proof.per_copy(WRITE_CSV_SECONDS_PER_16MB))
        with open(self._csv, "rb") as lines:
            self.findings.rows_in_file = sum(1 for _ in lines)

    def _show_volumes(self) -> str:
        table = self._scene.volumes.list(SURVIVOR)
        print(table, flush=True)
        return table

    def _load_until_loss(self) -> None:
        out = self._options.out
        statement, rejected = out / "copy.cql", out / "rejected.csv"
        statement.write_text(copy_statement(self._csv, rejected, self.findings.rows_in_file))
        words = [self._options.python(), "-u", str(LAB / "cqlsh"), self._scene.seed]
        command = self._scene.cluster.command(SURVIVOR, [*words, "-f", str(statement)])
        self._proof.load_until_loss(command, rejected.exists, f"on {SURVIVOR}")

    # The takeover

    def _take_over(self, epoch: int) -> None:
        attached = threading.Event()
        raised: list[tuple[float, int]] = []
        watch = (epoch, attached, raised)
        watcher = threading.Thread(target=self._watch_epoch, args=watch, daemon=True)
        watcher.start()
        self._attach_when_possible()
        attached_at = self._scene.attachments[-1].since
        attached.set()
        watcher.join(timeout=ATTACH_SECONDS)
        if raised:
            # The epoch is raised before an attach comes back, even where the look at it came later.
            seen_at, now = raised[0]
            self.timeline.mark("fenced", min(seen_at, attached_at), f"epoch {epoch} to {now}")
        self.timeline.mark("attached", attached_at)
        self._scene.mount(MOVED_VOLUME, TAKEOVER)
        self.timeline.mark("mounted")
        self._scene.moved.start()
        self.timeline.mark("process_started")
        self._scene.moved.wait_ready(START_SECONDS)
        for phase in self._scene.moved.phases():
            self.timeline.mark(phase.name, phase.at, phase.note)

    def _attach_when_possible(self) -> None:
        """Tries again while the metadata elects anew: the lost node may have led it."""
        force = self._options.how != "drain"
        deadline = time.monotonic() + ATTACH_SECONDS
        while True:
            try:
                self._scene.attach(MOVED_VOLUME, TAKEOVER, force)
                return
            except DrillError as error:
                if time.monotonic() > deadline:
                    raise
                say(f"attach is tried again: {error}")
                time.sleep(0.5)

    def _watch_epoch(
        self, before: int, attached: threading.Event, raised: list[tuple[float, int]]
    ) -> None:
        """Notes when the metadata shows a higher epoch; the last look is after the attach."""
        last = False
        while not last and not raised:
            last = attached.is_set()
            try:
                epoch = self._scene.volumes.epoch(SURVIVOR, MOVED_VOLUME)
            except DrillError:
                epoch = before
            if epoch > before:
                raised.append((time.time(), epoch))
            attached.wait(0.1)

    # The proof

    def _check_rows(self) -> None:
        scene = self._scene
        contacts = f"{scene.seed},{scene.cluster.address(TAKEOVER)}"
        words = ["env", f"PYTHONPATH={LAB}", self._options.python(), "-m", "drill_lib.rows"]
        words += [str(self._csv), TABLE, contacts]
        seconds = self._proof.per_copy(CHECK_SECONDS_PER_16MB)
        self._proof.note_rows(scene.survivor.run(*words, seconds=seconds))

    # The end

    def _put_away(self) -> None:
        self._proof.end_load()
        self._scene.end_cassandras()
        self._scene.bring_node_back()
        if not self.findings.failure and self.findings.comparison is not None:
            attempt("see the replicas equal", self._note_equal)
        self._scene.remove_volumes()
        self._proof.end_iostat(self._scene.attachments)
        self._csv.unlink(missing_ok=True)

    def _note_equal(self) -> None:
        self.findings.replicas_equal_s = self._scene.wait_replicas_equal()
