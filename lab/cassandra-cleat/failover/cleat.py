"""Cleat's volumes, through the `cleat` command on a node."""

from __future__ import annotations

import json
from typing import Any

from drill_lib.cluster import find_epoch
from drill_lib.process import DrillError

from .kubernetes import Kubernetes


def whole_problem(volume: dict[str, Any]) -> str:
    """Why not all replicas of the volume are in sync; empty when they are."""
    replicas = volume.get("replicas", [])
    in_sync = sum(1 for replica in replicas if replica["state"] == "in_sync")
    wanted = int(volume["ha"])
    return "" if in_sync >= wanted else f"{volume['name']}: {in_sync} of {wanted} in sync"


class Cleat:
    def __init__(self, kubernetes: Kubernetes, node: str) -> None:
        self._kubernetes = kubernetes
        self._node = node

    def list(self) -> str:
        return self._cleat("v", "l").rstrip()

    def inspect(self, name: str) -> dict[str, Any]:
        inspected = json.loads(self._cleat("v", "i", name, "-j"))
        volumes = inspected["volumes"] if "volumes" in inspected else [inspected]
        if len(volumes) != 1:
            raise DrillError(f"cleat v i {name} -j tells of {len(volumes)} volumes")
        return dict(volumes[0])

    def epoch(self, name: str) -> int:
        epoch = find_epoch(self.inspect(name))
        if epoch is None:
            raise DrillError(f"cleat v i {name} -j tells no epoch")
        return epoch

    def whole_problems(self, names: list[str]) -> list[str]:
        problems = (whole_problem(self.inspect(name)) for name in names)
        return [problem for problem in problems if problem]

    def check(self, name: str) -> None:
        """DrillError unless all replicas, each read alone, are equal."""
        self._cleat("v", "check", name)

    def _cleat(self, *words: str) -> str:
        return self._kubernetes.on(self._node, "cleat", *words)
