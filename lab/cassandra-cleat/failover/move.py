"""The steps of one pod's move to another node, as the API tells of them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# Name of the step, when, what is to be noted.
Mark = Callable[[str, float, str], None]


@dataclass(frozen=True)
class Place:
    """Where the pod was before it moved."""

    pod: str
    uid: str
    node: str
    persistent_volume: str


def container_started(pod: dict[str, Any]) -> bool:
    statuses = pod.get("status", {}).get("containerStatuses", [])
    return bool(statuses) and all("running" in status.get("state", {}) for status in statuses)


def is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


class Move:
    """Fed with the changes of pods and of volume attachments; marks each step when it shows.

    Any thread may feed it. `placed` is set once the new pod has a node: uid and node are then told.
    """

    def __init__(self, place: Place, mark: Mark) -> None:
        self._place = place
        self._mark = mark
        self._lock = threading.Lock()
        self.placed = threading.Event()
        self.uid = ""
        self.node = ""

    def see_pod(self, at: float, kind: str, pod: dict[str, Any]) -> None:
        if pod["metadata"]["name"] != self._place.pod:
            return
        with self._lock:
            if pod["metadata"]["uid"] == self._place.uid:
                self._see_old(at, kind, pod)
            elif kind != "DELETED":
                self._see_new(at, pod)

    def see_attachment(self, at: float, kind: str, attachment: dict[str, Any]) -> None:
        spec = attachment["spec"]
        if spec["source"].get("persistentVolumeName") != self._place.persistent_volume:
            return
        node = spec["nodeName"]
        if node == self._place.node:
            if kind == "DELETED":
                self._mark("detached", at, f"from {node}")
        elif attachment.get("status", {}).get("attached"):
            self._mark("attached", at, f"to {node}")

    def _see_old(self, at: float, kind: str, pod: dict[str, Any]) -> None:
        if "deletionTimestamp" in pod["metadata"]:
            self._mark("deleted", at, "")
        if kind == "DELETED":
            # Forced, it may go without having been marked before.
            self._mark("deleted", at, "")
            self._mark("terminated", at, "")

    def _see_new(self, at: float, pod: dict[str, Any]) -> None:
        node = pod["spec"].get("nodeName", "")
        if node:
            self.uid, self.node = pod["metadata"]["uid"], node
            self._mark("scheduled", at, f"on {node}")
            self.placed.set()
        if container_started(pod):
            self._mark("container_started", at, "")
        if is_ready(pod):
            self._mark("pod_ready", at, "")
