"""The drill itself: load, take the node from a pod, see it come back, prove nothing is lost."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from drill_lib import proof
from drill_lib.load import copy_statement
from drill_lib.log import parse_phases
from drill_lib.nodes import LOST
from drill_lib.process import attempt, say, wait_until
from drill_lib.proof import CHECK_SECONDS_PER_16MB, WRITE_CSV_SECONDS_PER_16MB, Proof
from drill_lib.table import TABLE
from drill_lib.timeline import Timeline

from .kubernetes import Kubernetes
from .mounts import Mount
from .move import Place
from .recovery import Recovery, recover
from .ring import peer_up
from .scene import Options, Scene
from .steps import STEPS
from .takeover import Takeover

# In the pod that loads.
CSV = "/var/tmp/weather.csv"
REJECTED = "/var/tmp/rejected.csv"

# Limits of the steps, in seconds, beside those of the proof.
PLACED_SECONDS = 300
READY_SECONDS = 600
GOSSIP_SECONDS = 120


@dataclass
class Findings(proof.Findings):
    ballast_wrong: int | None = None
    recoveries: list[Recovery] = field(default_factory=list)


class Drill:
    def __init__(self, options: Options, kubernetes: Kubernetes) -> None:
        self.timeline = Timeline(say, STEPS)
        self.findings = Findings()
        self._options = options
        self._kubernetes = kubernetes
        self._scene = Scene(options, kubernetes)
        self._proof = Proof(options, self.timeline, self.findings)
        self._node_is_away = False

    def run(self) -> None:
        self._proof.run(self._play, self._put_away)

    def _play(self) -> None:
        self._scene.put_up()
        self._write_csv()
        self.findings.volumes_before = self._show_volumes()
        host_id = self._scene.moved.host_id()
        self._load_until_loss()
        self._fail_over()
        self._proof.finish_load(self._scene.survivor, host_id)
        self.findings.volumes_after = self._show_volumes()
        self._proof.repair(self._scene.survivor)
        self._check_rows()
        self._bring_node_back()
        self._wait_equal()
        self._proof.end_iostat(self._scene.attachments)
        self._compare()

    def _write_csv(self) -> None:
        copies = self._options.copies
        say(f"writing {16 * copies} MB of weather observations in {self._scene.survivor.pod}")
        words = ["/opt/cassandra/weather.py", "--copies", str(copies), CSV]
        seconds = self._proof.per_copy(WRITE_CSV_SECONDS_PER_16MB)
        self._scene.survivor.run(*words, seconds=seconds)
        self.findings.rows_in_file = int(self._scene.survivor.run("wc", "-l", CSV).split()[0])

    def _show_volumes(self) -> str:
        table = self._scene.cleat.list()
        print(table, flush=True)
        return table

    def _load_until_loss(self) -> None:
        survivor = self._scene.survivor
        statement = copy_statement(Path(CSV), Path(REJECTED), self.findings.rows_in_file)
        # cqlsh puts an end to it by itself, and takes another for an empty statement.
        command = survivor.command("cqlsh", "-e", statement.rstrip(";\n"))
        self._proof.load_until_loss(command, self._gave_rows_up, f"in {survivor.pod}")

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

    def _check_rows(self) -> None:
        scene = self._scene
        contacts = f"{scene.survivor.address()},{scene.moved.address()}"
        seconds = self._proof.per_copy(CHECK_SECONDS_PER_16MB)
        answer = scene.survivor.program("rows", CSV, TABLE, contacts, seconds=seconds)
        self.findings.ballast_wrong = scene.wrong_ballast()
        self._proof.note_rows(answer)

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
        self._proof.end_load()
        self._proof.end_iostat(self._scene.attachments)
        if self._node_is_away:
            attempt(f"bring {LOST} back", self._bring_node_back)
        self._scene.save_logs()
        self._scene.put_away()

    def _bring_node_back(self) -> None:
        say(f"bringing {LOST} back")
        self._scene.bring_node_back()
        self._node_is_away = False
