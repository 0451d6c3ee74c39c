"""The drill itself: load, take the node from a pod, see it come back, prove nothing is lost."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path

from drill_lib.iostat import Attachment, Iostat
from drill_lib.load import Load, Progress, copy_statement
from drill_lib.log import parse_phases
from drill_lib.process import DrillError, attempt, say, wait_until
from drill_lib.rows import Comparison
from drill_lib.table import TABLE
from drill_lib.timeline import Timeline

from .kubernetes import Kubernetes
from .mounts import Mount
from .move import Place
from .recovery import Recovery, recover
from .ring import peer_up
from .scene import LOST, Options, Scene
from .steps import STEPS
from .takeover import Takeover

# The share of the rows that is loaded when the pod's node is taken from it.
LOSS_AT = 0.25
# In the pod that loads.
CSV = "/var/tmp/weather.csv"
REJECTED = "/var/tmp/rejected.csv"

# Limits of the steps, in seconds. They tell a stuck step from one on a slow machine.
PLACED_SECONDS = 300
READY_SECONDS = 600
GOSSIP_SECONDS = 120
HINTS_SECONDS = 300
REPAIR_SECONDS = 900
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
    ballast_wrong: int | None = None
    attachments: list[Attachment] = field(default_factory=list)
    progress: list[Progress] = field(default_factory=list)
    comparison: Comparison | None = None
    recoveries: list[Recovery] = field(default_factory=list)
    replicas_equal_s: float | None = None
    failure: str = ""


class Drill:
    def __init__(self, options: Options, kubernetes: Kubernetes) -> None:
        self.timeline = Timeline(say, STEPS)
        self.findings = Findings()
        self._options = options
        self._kubernetes = kubernetes
        self._scene = Scene(options, kubernetes)
        self._load: Load | None = None
        self._iostat: Iostat | None = None
        self._node_is_away = False

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
        self._scene.put_up()
        self._write_csv()
        self.findings.volumes_before = self._show_volumes()
        host_id = self._scene.moved.host_id()
        load = self._start_load()
        rows_before_loss = int(LOSS_AT * self.findings.rows_in_file)
        load.wait_rows(rows_before_loss, self._per_copy(COPY_SECONDS_PER_16MB))
        self._fail_over()
        self._finish_load(load, host_id)
        self.findings.volumes_after = self._show_volumes()
        self._repair()
        self._check_rows()
        self._bring_node_back()
        self._wait_equal()
        self._end_iostat()
        self._compare()

    def _write_csv(self) -> None:
        copies = self._options.copies
        say(f"writing {16 * copies} MB of weather observations in {self._scene.survivor.pod}")
        words = ["/opt/cassandra/weather.py", "--copies", str(copies), CSV]
        self._scene.survivor.run(*words, seconds=self._per_copy(WRITE_CSV_SECONDS_PER_16MB))
        self.findings.rows_in_file = int(self._scene.survivor.run("wc", "-l", CSV).split()[0])

    def _show_volumes(self) -> str:
        table = self._scene.cleat.list()
        print(table, flush=True)
        return table

    def _start_load(self) -> Load:
        out = self._options.out
        self._iostat = Iostat(out, self._options.interval, self._options.count)
        statement = copy_statement(Path(CSV), Path(REJECTED), self.findings.rows_in_file)
        # cqlsh puts an end to it by itself, and takes another for an empty statement.
        words = ["cqlsh", "-e", statement.rstrip(";\n")]
        command = self._scene.survivor.command(*words)
        self._load = Load(command, out / "copy.log", self._gave_rows_up)
        note = f"{self.findings.rows_in_file} rows, in {self._scene.survivor.pod}"
        self.timeline.mark("load_started", note=note)
        return self._load

    def _gave_rows_up(self) -> bool:
        test = f"if [ -e {REJECTED} ]; then echo yes; fi"
        return bool(self._scene.survivor.run("sh", "-c", test).strip())

    # The failover

    def _fail_over(self) -> None:
        scene = self._scene
        place = scene.place(scene.moved)
        epochs = scene.cleat.watch_epoch(place.persistent_volume, self._note_epoch)
        try:
            with Takeover(self._kubernetes, place, self.timeline, self._note_mount) as takeover:
                self._node_is_away = True
                self.timeline.mark("loss", note=self._options.how)
                scene.lose()
                scene.attachments[-1].until = time.time()
                takeover.wait_ready(PLACED_SECONDS, READY_SECONDS)
                takeover.read_log(scene.moved)
        finally:
            epochs.end()
        wait_until("the members see each other", GOSSIP_SECONDS, self._seen_up, every=1.0)

    def _note_epoch(self, at: float, epoch: int) -> None:
        # Looked at every 0.2 s only: the attachment, which comes after it, may be seen before it.
        attached = self.timeline.at("attached")
        self.timeline.mark("fenced", at if attached is None else min(at, attached), f"to {epoch}")

    def _note_mount(self, place: Place, mount: Mount) -> None:
        self._scene.add_attachment(place.persistent_volume, place.node, mount)

    def _seen_up(self) -> bool:
        """The other member tells that the moved one, at its new address, is up."""
        phases = peer_up(self._scene.moved.address())
        loss = self.timeline.at("loss") or 0.0
        for phase in parse_phases(self._scene.survivor.log_lines(), phases):
            if phase.at > loss:
                self.timeline.mark(phase.name, phase.at)
                return True
        return False

    # The proof

    def _finish_load(self, load: Load, host_id: str) -> None:
        survivor = self._scene.survivor
        delivered = survivor.wait_hints_delivered(host_id, HINTS_SECONDS)
        self.timeline.mark("hints_delivered", delivered)
        load.wait_finished(self._per_copy(COPY_SECONDS_PER_16MB))
        self.timeline.mark("load_finished", load.output.progress[-1].at)
        # An overloaded member makes hints without any failure: none may be left before the check.
        survivor.wait_hints_delivered(host_id, HINTS_SECONDS)

    def _repair(self) -> None:
        answer, tasks = self._scene.survivor.repair(REPAIR_SECONDS)
        (self._options.out / "repair.log").write_text(answer)
        self.findings.repair_sync_tasks = tasks
        self.timeline.mark("repair_done", note=f"{tasks} sync tasks")

    def _check_rows(self) -> None:
        scene = self._scene
        contacts = f"{scene.survivor.address()},{scene.moved.address()}"
        seconds = self._per_copy(CHECK_SECONDS_PER_16MB)
        answer = scene.survivor.program("rows", CSV, TABLE, contacts, seconds=seconds)
        comparison = Comparison(**json.loads(answer.splitlines()[-1]))
        self.findings.comparison = comparison
        self.findings.ballast_wrong = scene.wrong_ballast()
        found = f"{comparison.rows_found} of {comparison.rows_expected} rows"
        self.timeline.mark("rows_checked", note=found)

    def _wait_equal(self) -> None:
        began = time.time()
        self._scene.wait_whole()
        for volume in self._scene.volumes():
            self._scene.cleat.check(volume)
        self.findings.replicas_equal_s = time.time() - began

    def _compare(self) -> None:
        for kind in self._options.compare:
            self.findings.recoveries.append(recover(kind, self._scene, self._options.out))

    # The end

    def _put_away(self) -> None:
        if self._load is not None:
            self._load.end()
            self._note_load(self._load)
        self._end_iostat()
        if self._node_is_away:
            attempt(f"bring {LOST} back", self._bring_node_back)
        self._scene.save_logs()
        self._scene.put_away()

    def _bring_node_back(self) -> None:
        say(f"bringing {LOST} back")
        self._scene.bring_node_back()
        self._node_is_away = False

    def _note_load(self, load: Load) -> None:
        self.findings.rows_loaded = load.output.rows_imported or 0
        self.findings.copy_retries = load.output.retries
        self.findings.longest_pause_s = load.output.longest_pause()
        self.findings.progress = load.output.progress

    def _end_iostat(self) -> None:
        if self._iostat is not None:
            self._iostat.end()
            attempt("read iostat", self._note_iostat, self._iostat)
            self._iostat = None

    def _note_iostat(self, iostat: Iostat) -> None:
        self.findings.attachments = self._scene.attachments
        iostat.fill(self.findings.attachments)

    def _per_copy(self, seconds: float) -> float:
        return seconds * self._options.copies
