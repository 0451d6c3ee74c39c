"""The two members of the ring, in their pods."""

from __future__ import annotations

import re
from collections.abc import Iterable

from drill_lib import member
from drill_lib.log import Phases
from drill_lib.member import TOOL_SECONDS

from .kubernetes import Kubernetes

DATA = "/cassandra_data"
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


class Member(member.Member):
    """One pod of the StatefulSet, wherever it runs."""

    def __init__(self, kubernetes: Kubernetes, pod: str) -> None:
        super().__init__(pod, DATA)
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
