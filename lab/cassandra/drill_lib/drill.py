"""The drill itself: load, lose a node, take over, prove that nothing is lost."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field

from .cassandra import LAB
from .cluster import Cluster
from .iostat import Attachment, Iostat
from .load import Load, Progress, copy_statement
from .log import count_sync_tasks
from .process import DrillError, attempt, run, say
from .rows import Comparison
from .scene import (
    MOVED_VOLUME,
    START_SECONDS,
    SURVIVOR,
    TAKEOVER,
    Options,
    Scene,
)
from .table import KEYSPACE, TABLE
from .timeline import Timeline

# The share of the rows that is loaded when the node is lost.
LOSS_AT = 0.25

# Limits of the steps, in seconds. They tell a stuck step from one on a slow machine.
ATTACH_SECONDS = 120
HINTS_SECONDS = 300
REPAIR_SECONDS = 600
WRITE_CSV_SECONDS_PER_16MB = 120
COPY_SECONDS_PER_16MB = 600
CHECK_SECONDS_PER_16MB = 300


@dataclass
class Findings:
    """What the report shows beside the timeline."""

    volumes_before: str = ""
    volumes_after: str = ""
    rows_in_file: int = 0
    rows_loaded: int = 0
    copy_retries: int = 0
    longest_pause_s: float = 0.0
    repair_sync_tasks: int = 0
    attachments: list[Attachment] = field(default_factory=list)
    progress: list[Progress] = field(default_factory=list)
    comparison: Comparison | None = None
    replicas_equal_s: float | None = None
    failure: str = ""


class Drill:
    def __init__(self, options: Options, cluster: Cluster) -> None:
        self.timeline = Timeline(say)
        self.findings = Findings()
        self._options = options
        self._csv = options.out / "weather.csv"
        self._scene = Scene(options, cluster)
        self._load: Load | None = None
        self._iostat: Iostat | None = None

    def run(self) -> None:
        """Timeline and findings hold what was seen, also when a step fails: it is in `failure`."""
        try:
            self._play()
        except DrillError as error:
            self.findings.failure = str(error)
        except KeyboardInterrupt:
            self.findings.failure = "interrupted"
            raise
        finally:
            self._put_away()

    def _play(self) -> None:
        self._write_csv()
        self._scene.set_up()
        self.findings.volumes_before = self._show_volumes()
        load = self._start_load()
        host_id = self._scene.lost.host_id()
        rows_before_loss = int(LOSS_AT * self.findings.rows_in_file)
        load.wait_rows(rows_before_loss, self._per_copy(COPY_SECONDS_PER_16MB))
        epoch = self._scene.volumes.epoch(SURVIVOR, MOVED_VOLUME)
        self.timeline.mark("loss", note=self._options.how)
        self._scene.lose()
        self._take_over(epoch)
        self._finish_load(load, host_id)
        self.findings.volumes_after = self._show_volumes()
        self._repair()
        self._check_rows()

    def _write_csv(self) -> None:
        copies = self._options.copies
        say(f"writing {16 * copies} MB of weather observations")
        command = [str(LAB / "weather.py"), "--copies", str(copies), str(self._csv)]
        run(command, self._per_copy(WRITE_CSV_SECONDS_PER_16MB))
        with open(self._csv, "rb") as lines:
            self.findings.rows_in_file = sum(1 for _ in lines)

    def _show_volumes(self) -> str:
        table = self._scene.volumes.list(SURVIVOR)
        print(table, flush=True)
        return table

    def _start_load(self) -> Load:
        out = self._options.out
        self._iostat = Iostat(out, self._options.interval)
        statement, rejected = out / "copy.cql", out / "rejected.csv"
        statement.write_text(copy_statement(self._csv, rejected, self.findings.rows_in_file))
        words = [self._options.python(), "-u", str(LAB / "cqlsh"), self._scene.seed]
        command = self._scene.cluster.command(SURVIVOR, [*words, "-f", str(statement)])
        self._load = Load(command, statement.with_suffix(".log"), rejected.exists)
        self.timeline.mark("load_started", note=f"{self.findings.rows_in_file} rows")
        return self._load

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

    def _finish_load(self, load: Load, host_id: str) -> None:
        survivor = self._scene.survivor
        delivered = survivor.wait_hints_delivered(host_id, HINTS_SECONDS)
        self.timeline.mark("hints_delivered", delivered)
        load.wait_finished(self._per_copy(COPY_SECONDS_PER_16MB))
        self.timeline.mark("load_finished", load.output.progress[-1].at)
        # An overloaded node makes hints without any failure: none may be left before the check.
        survivor.wait_hints_delivered(host_id, HINTS_SECONDS)

    def _repair(self) -> None:
        log = self._options.out / "repair.log"
        answer = self._scene.survivor.tool("repair", "-full", KEYSPACE, seconds=REPAIR_SECONDS)
        log.write_text(answer)
        if "Repair completed successfully" not in answer:
            raise DrillError(f"nodetool repair did not succeed: see {log}")
        self.findings.repair_sync_tasks = count_sync_tasks(self._scene.survivor.log_lines())
        self.timeline.mark("repair_done", note=f"{self.findings.repair_sync_tasks} sync tasks")

    def _check_rows(self) -> None:
        scene = self._scene
        contacts = f"{scene.seed},{scene.cluster.address(TAKEOVER)}"
        words = ["env", f"PYTHONPATH={LAB}", self._options.python(), "-m", "drill_lib.rows"]
        words += [str(self._csv), TABLE, contacts]
        answer = scene.cluster.run(SURVIVOR, words, self._per_copy(CHECK_SECONDS_PER_16MB))
        comparison = Comparison(**json.loads(answer.splitlines()[-1]))
        self.findings.comparison = comparison
        found = f"{comparison.rows_found} of {comparison.rows_expected} rows"
        self.timeline.mark("rows_checked", note=found)

    # The end

    def _put_away(self) -> None:
        if self._load is not None:
            self._load.end()
            self._note_load(self._load)
        self._scene.end_cassandras()
        self._scene.bring_node_back()
        if not self.findings.failure and self.findings.comparison is not None:
            attempt("see the replicas equal", self._note_equal)
        self._scene.remove_volumes()
        if self._iostat is not None:
            self._iostat.end()
            attempt("read iostat", self._note_iostat)
        self._csv.unlink(missing_ok=True)

    def _note_load(self, load: Load) -> None:
        self.findings.rows_loaded = load.output.rows_imported or 0
        self.findings.copy_retries = load.output.retries
        self.findings.longest_pause_s = load.output.longest_pause()
        self.findings.progress = load.output.progress

    def _note_iostat(self) -> None:
        assert self._iostat is not None
        self.findings.attachments = self._scene.attachments
        self._iostat.fill(self.findings.attachments)

    def _note_equal(self) -> None:
        self.findings.replicas_equal_s = self._scene.wait_replicas_equal()

    def _per_copy(self, seconds: float) -> float:
        return seconds * self._options.copies
