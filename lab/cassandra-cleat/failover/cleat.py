"""Cleat's volumes, through the `cleat` command on a node."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from drill_lib.inspected import epoch_of, find_epoch
from drill_lib.process import DrillError, end_group, start

from .kubernetes import QUICK_SECONDS, Kubernetes

CHECK_SECONDS = 300


def only(inspected: Any) -> dict[str, Any]:
    """The volume in the answer to `cleat v i`, which is a list of those that were asked for."""
    if not isinstance(inspected, list) or len(inspected) != 1:
        raise DrillError(f"cleat v i -j does not tell of one volume: {inspected}")
    return dict(inspected[0])


def whole_problem(volume: dict[str, Any]) -> str:
    """Why not all replicas of the volume are in sync; empty when they are."""
    replicas = volume.get("replicas", [])
    in_sync = sum(1 for replica in replicas if replica["state"] == "in_sync")
    wanted = int(volume["ha"])
    return "" if in_sync >= wanted else f"{volume['name']}: {in_sync} of {wanted} in sync"


# Prints the time and, on a line of its own, all that Cleat knows of the volume, again and again.
POLL = 'while :; do date +%s.%N; cleat v i "$0" -j | tr -d "\\n"; echo; sleep 0.2; done'


def epochs(lines: Iterable[str]) -> Iterator[tuple[float, int]]:
    """Times and epochs in what POLL printed; a line without an answer is passed over."""
    at = 0.0
    for number, line in enumerate(lines):
        if number % 2 == 0:
            at = float(line)
            continue
        try:
            epoch = find_epoch(json.loads(line))
        except json.JSONDecodeError:
            continue
        if epoch is not None:
            yield at, epoch


class EpochWatch:
    """Tells, once, when the metadata shows that a volume's epoch was raised."""

    def __init__(self, command: list[str], before: int, tell: Callable[[float, int], None]) -> None:
        self._before = before
        self._tell = tell
        self._process = start(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def end(self) -> None:
        end_group(self._process)
        self._reader.join(timeout=5)

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for at, epoch in epochs(output):
                if epoch > self._before:
                    self._tell(at, epoch)
                    return


class Cleat:
    def __init__(self, kubernetes: Kubernetes, node: str) -> None:
        self._kubernetes = kubernetes
        self._node = node

    def list(self) -> str:
        return self._cleat("v", "l").rstrip()

    def inspect(self, name: str) -> dict[str, Any]:
        return only(json.loads(self._cleat("v", "i", name, "-j")))

    def epoch(self, name: str) -> int:
        return epoch_of(self.inspect(name))

    def watch_epoch(self, name: str, tell: Callable[[float, int], None]) -> EpochWatch:
        """From the epoch that the volume has now."""
        command = self._kubernetes.on_command(self._node, ["sh", "-c", POLL, name])
        return EpochWatch(command, self.epoch(name), tell)

    def whole_problems(self, names: list[str]) -> list[str]:
        problems = (whole_problem(self.inspect(name)) for name in names)
        return [problem for problem in problems if problem]

    def check(self, name: str) -> None:
        """DrillError unless all replicas, each read alone, are equal."""
        self._cleat("v", "check", name, seconds=CHECK_SECONDS)

    def _cleat(self, *words: str, seconds: float = QUICK_SECONDS) -> str:
        return self._kubernetes.on(self._node, "cleat", *words, seconds=seconds)
