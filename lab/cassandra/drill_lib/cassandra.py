"""One Cassandra of the drill: where it runs, what its log says."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .cluster import Cluster
from .log import Phase, parse_phases
from .process import DrillError, wait_quiet

LAB = Path(__file__).resolve().parent.parent
END_SECONDS = 75
TOOL_SECONDS = 60


@dataclass(frozen=True)
class Site:
    """Where the members of the ring are started, the same for all."""

    cluster: Cluster
    dist: Path  # what `prepare` built
    out: Path  # logs go below it: they outlive both node and volume
    data: str  # where the volume is mounted on the lab node
    seed: str  # address of the first member


class Cassandra:
    """One Cassandra on one lab node. The same member started elsewhere is another of these."""

    def __init__(self, site: Site, node: str, name: str) -> None:
        self._site = site
        self._node = node
        self._name = name
        self._logs = site.out / f"{name}-on-{node}"
        self._started = False

    def start(self) -> None:
        self._logs.mkdir(parents=True)
        site = self._site
        words = ["--dist", str(site.dist), "--data", site.data, "--seeds", site.seed]
        self._node_command("start", *words, "--address", site.cluster.address(self._node))
        self._started = True

    def log_lines(self) -> list[str]:
        try:
            return (self._logs / "cassandra.log").read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return []

    def phases(self) -> list[Phase]:
        return list(parse_phases(self.log_lines()))

    def wait_ready(self, seconds: float) -> None:
        log = self._logs / "cassandra.log"
        deadline = time.monotonic() + seconds
        while not any(phase.name == "cql_ready" for phase in self.phases()):
            if not self._alive():
                raise DrillError(
                    f"{self._name} on {self._node} ended before it served CQL: see {log}"
                )
            if time.monotonic() > deadline:
                raise DrillError(
                    f"{self._name} on {self._node} serves no CQL after {seconds:.0f} s: see {log}"
                )
            time.sleep(0.5)

    def tool(self, *words: str, seconds: float = TOOL_SECONDS) -> str:
        """nodetool on the node where this Cassandra runs."""
        command = [str(LAB / "node"), "tool", "--dist", str(self._site.dist), *words]
        return self._site.cluster.run(self._node, command, seconds)

    def host_id(self) -> str:
        match = re.search(r"^ID\s*:\s*(\S+)", self.tool("info"), re.MULTILINE)
        if match is None:
            raise DrillError(f"nodetool info on {self._node} tells no host id")
        return match[1]

    def has_hints_for(self, host_id: str) -> bool:
        words = ["find", f"{self._site.data}/hints", "-name", f"{host_id}-*.hints"]
        return bool(self._site.cluster.run(self._node, words).strip())

    def wait_hints_delivered(self, host_id: str, seconds: float) -> float:
        """When the quiet began in which this member has no hints for the other any more."""
        what = f"hints for {host_id} delivered by {self._node}"
        return wait_quiet(what, seconds, partial(self.has_hints_for, host_id))

    def stop(self) -> None:
        self._end("stop")

    def kill(self) -> None:
        self._end("kill")

    def gone(self) -> None:
        """The lab node has died, and this process with it."""
        self._started = False

    def _end(self, verb: str) -> None:
        if self._started:
            self._node_command(verb)
            self._started = False

    def _alive(self) -> bool:
        pid = (self._logs / "pid").read_text().strip()
        try:
            self._site.cluster.run(self._node, ["test", "-d", f"/proc/{pid}"])
        except DrillError:
            return False
        return True

    def _node_command(self, verb: str, *words: str) -> None:
        command = [str(LAB / "node"), verb, "--logs", str(self._logs), *words]
        self._site.cluster.run(self._node, command, END_SECONDS)
