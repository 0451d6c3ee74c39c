"""Ways back of a lost member, side by side: all on the same data, and without load.

move        the pod comes back on another node, on its volume
restore     its volume is lost; it comes back on one made from a snapshot, and repair brings what
            came after the snapshot
bootstrap   its volume is lost; it comes back on an empty one, and streams all from the other member
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from drill_lib.process import DrillError, attempt, say, wait_until
from drill_lib.timeline import Timeline

from .ring import Member, received_mib
from .scene import CLAIM, HERE, Scene
from .steps import RECOVERY_MAY_LACK, RECOVERY_STEPS
from .takeover import Takeover

KINDS = ("move", "restore", "bootstrap")
SNAPSHOT = "cassandra-before-loss"
SNAPSHOT_CLASS = "cleat"
REPLACE = "cassandra-replace"
STATEFULSET = HERE / "cassandra-statefulset.yaml"
# Written after the snapshot, so that repair has something to mend; and before a bootstrap as well.
LATE_MIB = 16

GONE_SECONDS = 180
SNAPSHOT_SECONDS = 120
PLACED_SECONDS = 120
READY_SECONDS = 1200
REPAIR_SECONDS = 900


@dataclass
class Recovery:
    kind: str
    timeline: Timeline
    received_mib: float = 0.0
    sync_tasks: int = 0
    rows_wrong: int = -1

    def steps_not_seen(self) -> list[str]:
        return [step for step in self.timeline.missing() if step not in RECOVERY_MAY_LACK]

    def passed(self) -> bool:
        return self.rows_wrong == 0 and not self.steps_not_seen()


def claim_from_snapshot(template: dict[str, Any], pod: str, snapshot: str) -> dict[str, Any]:
    """The claim that the StatefulSet would make for the pod, with the snapshot as its content."""
    metadata = {**template["metadata"], "name": f"{CLAIM}-{pod}"}
    source = {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": snapshot}
    spec = {**template["spec"], "dataSource": source}
    for unwanted in ("status", "creationTimestamp"):
        metadata.pop(unwanted, None)
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata,
        "spec": spec,
    }


def snapshot_of(claim: str) -> dict[str, Any]:
    return {
        "apiVersion": "snapshot.storage.k8s.io/v1",
        "kind": "VolumeSnapshot",
        "metadata": {"name": SNAPSHOT},
        "spec": {
            "volumeSnapshotClassName": SNAPSHOT_CLASS,
            "source": {"persistentVolumeClaimName": claim},
        },
    }


class Loss:
    """Takes a pod, and perhaps its volume, away at once, and gives the pod back."""

    def __init__(self, scene: Scene, out: Path) -> None:
        self._scene = scene
        self._kubernetes = scene.kubernetes
        self._out = out
        self._cordoned = ""

    def apply(self, name: str, thing: dict[str, Any]) -> None:
        file = self._out / f"{name}.json"
        file.write_text(json.dumps(thing, indent=1) + "\n")
        self._kubernetes.kubectl("apply", "-f", str(file))

    def take_snapshot(self, member: Member) -> None:
        """Of the member's volume, with what was in memory only flushed to it before."""
        member.tool("flush")
        self.apply("snapshot", snapshot_of(self._scene.claim(member)))
        wait_until("the snapshot usable", SNAPSHOT_SECONDS, self._snapshot_usable)

    def lose_node(self, member: Member, node: str) -> None:
        self._cordoned = node
        self._kubernetes.kubectl("cordon", node)
        self._delete_pod(member)

    def lose_volume(self, member: Member) -> dict[str, Any]:
        """Without its StatefulSet, or that would make an empty volume at once. Gives its template
        of the claim."""
        kubernetes = self._kubernetes
        statefulset = kubernetes.get("statefulset", "cassandra")
        kubernetes.kubectl("delete", "statefulset", "cassandra", "--cascade=orphan")
        kubernetes.kubectl("delete", "pvc", self._scene.claim(member), "--wait=false")
        self._delete_pod(member)
        wait_until("pod and claim gone", GONE_SECONDS, partial(self._gone, member), every=0.5)
        return dict(statefulset["spec"]["volumeClaimTemplates"][0])

    def give_back(self) -> None:
        self._kubernetes.kubectl("apply", "-f", str(STATEFULSET))

    def _delete_pod(self, member: Member) -> None:
        # A crash does not ask for time to drain.
        self._kubernetes.kubectl("delete", "pod", member.pod, "--grace-period=1", "--wait=false")

    def replace(self, address: str) -> None:
        words = ["create", "configmap", REPLACE, f"--from-literal=address={address}"]
        self._kubernetes.kubectl(*words)

    def clean(self) -> None:
        if self._cordoned:
            words = ["uncordon", self._cordoned]
            attempt("uncordon", partial(self._kubernetes.kubectl, *words))
        for kind, name in (("configmap", REPLACE), ("volumesnapshot", SNAPSHOT)):
            words = ["delete", kind, name, "--ignore-not-found", "--wait=false"]
            attempt(f"delete {kind} {name}", partial(self._kubernetes.kubectl, *words))

    def _snapshot_usable(self) -> bool:
        status = self._kubernetes.get("volumesnapshot", SNAPSHOT).get("status", {})
        if "error" in status:
            raise DrillError(f"snapshot: {status['error'].get('message', status['error'])}")
        return bool(status.get("readyToUse"))

    def _gone(self, member: Member) -> bool:
        words = [f"pod/{member.pod}", f"pvc/{self._scene.claim(member)}"]
        return not self._kubernetes.kubectl("get", *words, "--ignore-not-found").strip()


def come_back(kind: str, scene: Scene, loss: Loss, recovery: Recovery) -> None:
    member, timeline = scene.moved, recovery.timeline
    place, address = scene.place(member), member.address()
    if kind == "restore":
        loss.take_snapshot(member)
    scene.add_ballast(LATE_MIB)
    with Takeover(scene.kubernetes, place, timeline) as takeover:
        timeline.mark("loss")
        if kind == "move":
            loss.lose_node(member, place.node)
        else:
            template = loss.lose_volume(member)
            if kind == "restore":
                loss.apply("claim", claim_from_snapshot(template, member.pod, SNAPSHOT))
            else:
                loss.replace(address)
            loss.give_back()
        takeover.wait_ready(PLACED_SECONDS, READY_SECONDS)
        takeover.read_log(member)
    make_whole(kind, member, recovery)


def make_whole(kind: str, member: Member, recovery: Recovery) -> None:
    timeline = recovery.timeline
    if kind == "restore":
        _, recovery.sync_tasks = member.repair(REPAIR_SECONDS)
        timeline.mark("whole", note=f"repaired, {recovery.sync_tasks} sync tasks")
    else:
        # One that bootstraps serves only after it has streamed everything; one that has its volume
        # lacks nothing, as nothing was written meanwhile.
        timeline.mark("whole", timeline.at("cql_ready"), "with CQL")
    recovery.received_mib = received_mib(member.log_lines())


def recover(kind: str, scene: Scene, out: Path) -> Recovery:
    say(f"for comparison, without load: {kind}")
    recovery = Recovery(kind, Timeline(say, RECOVERY_STEPS))
    loss = Loss(scene, out)
    try:
        come_back(kind, scene, loss, recovery)
        recovery.rows_wrong = scene.wrong_ballast()
        recovery.timeline.mark("checked", note=f"{recovery.rows_wrong} rows wrong")
    finally:
        loss.clean()
    return recovery
