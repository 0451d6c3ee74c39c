"""What the drill plays on: a ring of two pods; how it is put up and put away."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from drill_lib import ballast, proof
from drill_lib.iostat import Attachment
from drill_lib.nodes import LOST, SURVIVOR
from drill_lib.process import DrillError, attempt, end_group, say, start, wait_until

from .cleat import Cleat
from .kubernetes import Kubernetes
from .mounts import Mount, wait_mount
from .move import Place
from .ring import Member

HERE = Path(__file__).resolve().parent.parent
PODS = ("cassandra-0", "cassandra-1")
CLAIM = "cassandra-data"  # of the StatefulSet's template; a pod's claim is CLAIM-POD

START_SECONDS = 1500
STOP_SECONDS = 300
MOUNT_SECONDS = 30
BALLAST_SECONDS_PER_MIB = 2.0
WHOLE_SECONDS = 300


@dataclass(frozen=True, kw_only=True)
class Options(proof.Options):
    ballast_mib: int
    compare: tuple[str, ...]  # of recovery.KINDS


def run_script(name: str, *words: str, seconds: float) -> None:
    """One of the scripts of the walk-through, with its output on the drill's."""
    process = start([str(HERE / name), *words])
    try:
        status = process.wait(timeout=seconds)
    except BaseException as error:
        # With all that it started: what is put away next must not be put up again.
        end_group(process)
        if isinstance(error, subprocess.TimeoutExpired):
            raise DrillError(f"{name}: not within {seconds:.0f} s") from None
        raise
    if status != 0:
        raise DrillError(f"{name}: exit status {status}")


class Scene:
    def __init__(self, options: Options, kubernetes: Kubernetes) -> None:
        self.kubernetes = kubernetes
        self.cleat = Cleat(kubernetes, SURVIVOR)
        self.attachments: list[Attachment] = []
        self.ballast_rows = 0
        self._options = options
        self._put_up = False

    # Up

    def put_up(self) -> None:
        """A new ring, with keyspace, table and ballast."""
        if self.kubernetes.kubectl("get", "statefulset", "cassandra", "--ignore-not-found"):
            raise DrillError(
                "Cassandra runs already, and the drill ends with deleting its data: "
                "stop-cassandra.sh --delete-data first"
            )
        self._put_up = True
        run_script("start-cassandra.sh", seconds=START_SECONDS)
        self.find_members()
        self.survivor.run("cqlsh", "-f", "/opt/cassandra/schema.cql")
        self.add_ballast(self._options.ballast_mib)
        for member in (self.survivor, self.moved):
            self.note_attachment(member)

    def find_members(self) -> None:
        """The pod that stays, on SURVIVOR, and the one that moves, on LOST."""
        members = [Member(self.kubernetes, pod) for pod in PODS]
        on = {member.node(): member for member in members}
        if SURVIVOR not in on or LOST not in on:
            raise DrillError(f"the pods are on {', '.join(on)}, not on {SURVIVOR} and {LOST}")
        self.survivor, self.moved = on[SURVIVOR], on[LOST]

    def add_ballast(self, mib: int) -> None:
        count = mib * ballast.ROWS_PER_MIB
        if count == 0:
            return
        say(f"writing {mib} MiB of ballast")
        words = [self.survivor.address(), str(self.ballast_rows), str(count)]
        seconds = 60 + mib * BALLAST_SECONDS_PER_MIB
        self.survivor.program("ballast", "write", *words, seconds=seconds)
        self.ballast_rows += count

    def wrong_ballast(self) -> int:
        if self.ballast_rows == 0:
            return 0
        words = [self.survivor.address(), str(self.ballast_rows)]
        seconds = 60 + self.ballast_rows / ballast.ROWS_PER_MIB * BALLAST_SECONDS_PER_MIB
        return int(self.survivor.program("ballast", "check", *words, seconds=seconds))

    # What is where

    def claim(self, member: Member) -> str:
        return f"{CLAIM}-{member.pod}"

    def persistent_volume(self, member: Member) -> str:
        return str(self.kubernetes.get("pvc", self.claim(member))["spec"]["volumeName"])

    def place(self, member: Member) -> Place:
        pod = self.kubernetes.get("pod", member.pod)
        uid, node = pod["metadata"]["uid"], pod["spec"]["nodeName"]
        return Place(member.pod, uid, node, self.persistent_volume(member))

    def note_attachment(self, member: Member) -> None:
        place = self.place(member)
        mount = wait_mount(self.kubernetes, place.node, place.uid, MOUNT_SECONDS)
        self.add_attachment(place.persistent_volume, place.node, mount)

    def add_attachment(self, volume: str, node: str, mount: Mount) -> None:
        self.attachments.append(Attachment(volume, node, mount.device, mount.at))

    def volumes(self) -> list[str]:
        return [self.persistent_volume(member) for member in (self.survivor, self.moved)]

    def wait_whole(self) -> None:
        """Until every replica of both volumes is in sync."""
        volumes = self.volumes()
        what = "all replicas in sync"
        wait_until(what, WHOLE_SECONDS, lambda: not self.cleat.whole_problems(volumes), every=1.0)

    # The loss

    def lose(self) -> None:
        kubernetes = self.kubernetes
        if self._options.how == "cordon":
            kubernetes.kubectl("cordon", LOST)
            kubernetes.kubectl("delete", "pod", self.moved.pod, "--wait=false")
        elif self._options.how == "node-crash":
            kubernetes.crash(LOST)
        else:
            kubernetes.isolate(LOST)

    def bring_node_back(self) -> None:
        if self._options.how == "cordon":
            self.kubernetes.kubectl("uncordon", LOST)
        elif self._options.how == "node-crash":
            self.kubernetes.start(LOST)
        else:
            self.kubernetes.heal(LOST)
        ready = ["wait", "--for=condition=Ready", f"node/{LOST}", f"--timeout={MOUNT_SECONDS * 6}s"]
        self.kubernetes.kubectl(*ready, seconds=MOUNT_SECONDS * 7)

    # Down

    def save_logs(self) -> None:
        for pod in PODS:
            attempt(f"save the log of {pod}", partial(self._save_log, pod))

    def put_away(self) -> None:
        if self._put_up:
            words = ["stop-cassandra.sh", "--delete-data"]
            attempt("stop Cassandra", partial(run_script, *words, seconds=STOP_SECONDS))

    def _save_log(self, pod: str) -> None:
        text = self.kubernetes.kubectl("logs", pod)
        (self._options.out / f"{pod}.log").write_text(text)
