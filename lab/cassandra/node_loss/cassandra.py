"""One Cassandra of the drill: where it runs, what its log says."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from drill_lib.log import Phase, parse_phases
from drill_lib.member import TOOL_SECONDS, Member
from drill_lib.process import DrillError

from .cluster import Cluster

LAB = Path(__file__).resolve().parent.parent
END_SECONDS = 75


@dataclass(frozen=True)
class Site:
    """Where the members of the ring are started, the same for all."""

    cluster: Cluster
    dist: Path  # what `prepare` built
    out: Path  # logs go below it: they outlive both node and volume
    data: str  # where the volume is mounted on the lab node
    seed: str  # address of the first member


class Cassandra(Member):
    """One Cassandra on one lab node. The same member started elsewhere is another of these."""

    def __init__(self, site: Site, node: str, volume: str) -> None:
        super().__init__(f"{volume} on {node}", site.data)
        self._site = site
        self._node = node
        self._logs = site.out / f"{volume}-on-{node}"
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
                raise DrillError(f"{self.name} ended before it served CQL: see {log}")
            if time.monotonic() > deadline:
                raise DrillError(f"{self.name} serves no CQL after {seconds:.0f} s: see {log}")
            time.sleep(0.5)

    def run(self, *words: str, seconds: float = TOOL_SECONDS) -> str:
        return self._site.cluster.run(self._node, words, seconds)

    def tool(self, *words: str, seconds: float = TOOL_SECONDS) -> str:
        node = [str(LAB / "node"), "tool", "--dist", str(self._site.dist)]
        return self.run(*node, *words, seconds=seconds)

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
            self.run("test", "-d", f"/proc/{pid}")
        except DrillError:
            return False
        return True

    def _node_command(self, verb: str, *words: str) -> None:
        command = [str(LAB / "node"), verb, "--logs", str(self._logs), *words]
        self.run(*command, seconds=END_SECONDS)
