"""The two things the drill needs from its surroundings: nodes, and volumes on them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from drill_lib.inspected import epoch_of
from drill_lib.nodes import Nodes
from drill_lib.process import DrillError, run

VOLUME_SECONDS = 60
QUICK_SECONDS = 15


class Cluster(Nodes):
    """The nodes, through the `lab/cluster` command."""

    def __init__(self, program: Path, directory: str | None) -> None:
        super().__init__(program, *(["--dir", directory] if directory else []))

    def command(self, node: str, words: Sequence[str]) -> list[str]:
        """The command that runs `words` on the node."""
        return [self._program, "exec", *self._options, node, "--", *words]

    def run(self, node: str, words: Sequence[str], seconds: float = QUICK_SECONDS) -> str:
        return run(self.command(node, words), seconds)

    def address(self, node: str) -> str:
        return self.run(node, ["hostname", "-I"]).split()[0]


class Volumes:
    """Volumes, through the `cleat` command on the nodes."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def create(self, node: str, name: str, size_gib: int, fs: str, replicas: Sequence[str]) -> None:
        spec = ["--size", str(size_gib), "--ha", str(len(replicas)), "--fs", fs]
        self._cleat(node, "v", "create", name, *spec, "--nodes", ",".join(replicas))

    def attach(self, node: str, name: str, force: bool) -> str:
        """Attaches the volume on the node and gives the device's path there."""
        out = self._cleat(node, "host", "attach", *(["--force"] if force else []), name)
        device = out.strip().splitlines()[-1].strip()
        if not device.startswith("/dev/"):
            raise DrillError(f"cleat host attach {name} on {node} printed no device: {out!r}")
        return device

    def mount(self, node: str, name: str, directory: str, options: str) -> None:
        self._cleat(node, "host", "mount", name, directory, "--options", options)

    def unmount(self, node: str, name: str, directory: str) -> None:
        self._cleat(node, "host", "unmount", name, directory)

    def detach(self, node: str, name: str) -> None:
        self._cleat(node, "host", "detach", name)

    def delete(self, node: str, name: str) -> None:
        self._cleat(node, "v", "delete", name)

    def check(self, node: str, name: str) -> None:
        """DrillError unless all replicas, each read alone, are equal."""
        self._cleat(node, "v", "check", name)

    def list(self, node: str) -> str:
        return self._cleat(node, "v", "l").rstrip()

    def epoch(self, node: str, name: str) -> int:
        return epoch_of(json.loads(self._cleat(node, "v", "i", name, "-j")))

    def _cleat(self, node: str, *words: str) -> str:
        return self._cluster.run(node, ["cleat", *words], VOLUME_SECONDS)
