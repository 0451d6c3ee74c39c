"""Watches a pod come back elsewhere, until it is Ready, and marks every step on a timeline."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from drill_lib.log import parse_phases
from drill_lib.process import DrillError, say, wait_until
from drill_lib.timeline import Timeline

from .kubernetes import Kubernetes
from .mounts import Mount, wait_mount
from .move import Move, Place
from .ring import Member
from .watch import Watch


class Takeover:
    """Use as a context: it watches from the beginning to the end of it.

    `mounted` is told of the new volume's mount as soon as it is there."""

    def __init__(
        self,
        kubernetes: Kubernetes,
        place: Place,
        timeline: Timeline,
        mounted: Callable[[Place, Mount], None] = lambda place, mount: None,
    ) -> None:
        self._kubernetes = kubernetes
        self._place = place
        self._timeline = timeline
        self._mounted = mounted
        self._move = Move(place, timeline.mark)
        self._watches: list[Watch] = []

    def __enter__(self) -> Takeover:
        # kubectl asks for one namespace's pods; attachments belong to none.
        for words, handler in (
            (["pods", "-l", "app=cassandra"], self._move.see_pod),
            (["volumeattachments"], self._move.see_attachment),
        ):
            self._watches.append(Watch(self._kubernetes, words, handler))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for watch in self._watches:
            watch.end()

    def wait_ready(self, placed_seconds: float, ready_seconds: float) -> None:
        pod = self._place.pod
        if not self._move.placed.wait(placed_seconds):
            raise DrillError(
                f"{pod} is not scheduled anew within {placed_seconds:.0f} s:\n{self._why_not()}"
            )
        self._wait_mounted(ready_seconds)
        try:
            wait_until(f"{pod} Ready", ready_seconds, self._is_ready)
        except DrillError as error:
            raise DrillError(f"{error}:\n{self._why_not()}") from None

    def read_log(self, member: Member) -> None:
        """Marks the steps that the log of the new pod's Cassandra shows."""
        for phase in parse_phases(member.log_lines()):
            self._timeline.mark(phase.name, phase.at, phase.note)

    def _wait_mounted(self, seconds: float) -> None:
        node = self._move.node
        mount = wait_mount(self._kubernetes, node, self._move.uid, seconds)
        self._move.see_mounted(mount.volume)
        self._timeline.mark("mounted", mount.at, f"{mount.device} on {node}")
        self._mounted(Place(self._place.pod, self._move.uid, node, mount.volume), mount)

    def _is_ready(self) -> bool:
        return self._timeline.at("pod_ready") is not None

    def _why_not(self) -> str:
        """The last things that Kubernetes tells of the pod."""
        field = f"--field-selector=involvedObject.name={self._place.pod}"
        try:
            events = self._kubernetes.kubectl("get", "events", field, "--sort-by=.lastTimestamp")
        except DrillError as error:
            say(f"events of {self._place.pod} are not to be had: {error}")
            return ""
        return "\n".join(events.splitlines()[-8:])
