"""The two members of the ring, in their pods."""

from __future__ import annotations

import re
from collections.abc import Iterable

from drill_lib.log import Phases, count_sync_tasks
from drill_lib.process import DrillError, wait_quiet
from drill_lib.table import KEYSPACE

from .kubernetes import Kubernetes

HINTS = "/cassandra_data/hints"
TOOL_SECONDS = 120
HOST_ID = re.compile(r"^ID\s*:\s*(\S+)", re.MULTILINE)
STATUS_LINE = re.compile(r"^([UD][NLJM])\s+(\S+)\s", re.MULTILINE)
RECEIVED = re.compile(r"Receiving (\d+) files?\(([\d.]+)\s*(KiB|MiB|GiB|B|bytes)")
MIB = {"B": 2.0**-20, "bytes": 2.0**-20, "KiB": 2.0**-10, "MiB": 1.0, "GiB": 1024.0}


def peer_up(address: str) -> Phases:
    """The line by which a member tells that it sees the one at the address up."""
    pattern = re.compile(rf"InetAddress /?{re.escape(address)}:7000 is now UP")
    return (("gossip_up", pattern),)


def member_states(status: str) -> dict[str, str]:
    """Address and state (UN, DN, UJ, ...) of each member in the answer of nodetool status."""
    return {address: state for state, address in STATUS_LINE.findall(status)}


def received_mib(lines: Iterable[str]) -> float:
    """What the log says that was streamed in, in MiB."""
    found = (RECEIVED.search(line) for line in lines)
    return sum(float(match[2]) * MIB[match[3]] for match in found if match)


class Member:
    """One pod of the StatefulSet, wherever it runs."""

    def __init__(self, kubernetes: Kubernetes, pod: str) -> None:
        self._kubernetes = kubernetes
        self.pod = pod

    def node(self) -> str:
        return str(self._kubernetes.get("pod", self.pod)["spec"]["nodeName"])

    def address(self) -> str:
        return str(self._kubernetes.get("pod", self.pod)["status"]["podIP"])

    def run(self, *words: str, seconds: float = TOOL_SECONDS) -> str:
        return self._kubernetes.exec(self.pod, *words, seconds=seconds)

    def command(self, *words: str) -> list[str]:
        return self._kubernetes.exec_command(self.pod, words)

    def tool(self, *words: str, seconds: float = TOOL_SECONDS) -> str:
        return self.run("nodetool", *words, seconds=seconds)

    def program(self, module: str, *words: str, seconds: float) -> str:
        """A program of drill_lib, in the pod's Python that has the driver."""
        python = ["env", "PYTHONPATH=/opt/cassandra:/opt/cqlsh", "python3"]
        return self.run(*python, "-m", f"drill_lib.{module}", *words, seconds=seconds)

    def log_lines(self) -> list[str]:
        return self._kubernetes.kubectl("logs", self.pod).splitlines()

    def host_id(self) -> str:
        match = HOST_ID.search(self.tool("info"))
        if match is None:
            raise DrillError(f"nodetool info in {self.pod} tells no host id")
        return match[1]

    def wait_hints_delivered(self, host_id: str, seconds: float) -> float:
        """When the quiet began in which this member has no hints for the other any more."""

        def busy() -> bool:
            return bool(self.run("find", HINTS, "-name", f"{host_id}-*.hints").strip())

        return wait_quiet(f"hints for {host_id} delivered by {self.pod}", seconds, busy)

    def repair(self, seconds: float) -> tuple[str, int]:
        """What `nodetool repair` answered, and how many ranges it found to differ."""
        before = count_sync_tasks(self.log_lines())
        answer = self.tool("repair", "-full", KEYSPACE, seconds=seconds)
        if "Repair completed successfully" not in answer:
            raise DrillError(f"nodetool repair in {self.pod} did not succeed:\n{answer[-500:]}")
        return answer, count_sync_tasks(self.log_lines()) - before
