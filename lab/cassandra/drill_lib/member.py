"""A member of the ring, wherever it runs."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod

from .log import count_sync_tasks
from .process import DrillError, wait_quiet
from .table import KEYSPACE

TOOL_SECONDS = 120
HOST_ID = re.compile(r"^ID\s*:\s*(\S+)", re.MULTILINE)


class Member(ABC):
    def __init__(self, name: str, data: str) -> None:
        """`data` is its data directory, where the volume is mounted."""
        self.name = name
        self._hints = f"{data}/hints"

    @abstractmethod
    def run(self, *words: str, seconds: float = TOOL_SECONDS) -> str:
        """What a command printed that ran where the member does."""

    @abstractmethod
    def tool(self, *words: str, seconds: float = TOOL_SECONDS) -> str:
        """What nodetool printed."""

    @abstractmethod
    def log_lines(self) -> list[str]: ...

    def host_id(self) -> str:
        match = HOST_ID.search(self.tool("info"))
        if match is None:
            raise DrillError(f"{self.name}: nodetool info tells no host id")
        return match[1]

    def wait_hints_delivered(self, host_id: str, seconds: float) -> float:
        """When the quiet began in which this member has no hints for the other any more."""

        def busy() -> bool:
            return bool(self.run("find", self._hints, "-name", f"{host_id}-*.hints").strip())

        return wait_quiet(f"{self.name}: hints for {host_id} delivered", seconds, busy)

    def repair(self, seconds: float) -> tuple[str, int]:
        """What `nodetool repair` answered, and how many ranges it found to differ."""
        before = count_sync_tasks(self.log_lines())
        answer = self.tool("repair", "-full", KEYSPACE, seconds=seconds)
        if "Repair completed successfully" not in answer:
            raise DrillError(f"{self.name}: nodetool repair did not succeed:\n{answer[-500:]}")
        return answer, count_sync_tasks(self.log_lines()) - before
