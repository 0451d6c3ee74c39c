"""What happened when."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Event:
    name: str
    at: float  # seconds since 1970
    note: str
    label: str


class Timeline:
    """Events by name; the first mark of a name stands, and is told. Any thread may mark."""

    def __init__(
        self,
        tell: Callable[[str], None],
        steps: Mapping[str, str],
        zero: str = "loss",
    ) -> None:
        """`steps` has the label of each step that must be seen; time counts from step `zero`."""
        self._tell = tell
        self._steps = steps
        self._zero = zero
        self._events: dict[str, Event] = {}
        self._lock = threading.Lock()

    def mark(self, name: str, at: float | None = None, note: str = "") -> None:
        if name not in self._steps:
            raise KeyError(f"{name} is no step")
        event = Event(name, time.time() if at is None else at, note, self._steps[name])
        with self._lock:
            if name in self._events:
                return
            self._events[name] = event
        note = f" ({note})" if note else ""
        self._tell(f"{self._ago(event)}{event.label}{note}")

    def events(self) -> list[Event]:
        return sorted(self._events.values(), key=lambda event: event.at)

    def at(self, name: str) -> float | None:
        event = self._events.get(name)
        return event.at if event else None

    def missing(self) -> list[str]:
        return [name for name in self._steps if name not in self._events]

    def between(self, first: str, second: str) -> float | None:
        """Seconds from one event to another; None if one of them was not seen."""
        begin, end = self.at(first), self.at(second)
        return None if begin is None or end is None else end - begin

    def as_json(self) -> list[dict[str, Any]]:
        zero = self.at(self._zero)
        return [
            {**asdict(event), "after_loss_s": zero and round(event.at - zero, 3)}
            for event in self.events()
        ]

    def _ago(self, event: Event) -> str:
        zero = self.at(self._zero)
        return "" if zero is None else f"{event.at - zero:+7.1f} s  "
