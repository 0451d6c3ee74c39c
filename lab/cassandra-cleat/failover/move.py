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
        # The new pod's volume, which is the old one as long as nothing else is known.
        self._volume = place.persistent_volume
        self._attached: dict[tuple[str, str], float] = {}  # volume and node -> when

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
        volume, node = spec["source"].get("persistentVolumeName", ""), spec["nodeName"]
        if (volume, node) == (self._place.persistent_volume, self._place.node):
            if kind == "DELETED":
                self._mark("detached", at, f"from {node}")
        elif attachment.get("status", {}).get("attached"):
            with self._lock:
                self._attached.setdefault((volume, node), at)
                self._mark_attached()

    def see_mounted(self, volume: str) -> None:
        """The new pod has this volume: the old one, or one made anew."""
        with self._lock:
            self._volume = volume
            self._mark_attached()

    def _mark_attached(self) -> None:
        for (volume, node), at in self._attached.items():
            if volume == self._volume:
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
