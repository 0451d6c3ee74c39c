"""The Kubernetes lab, through the `lab/kubernetes` command."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from drill_lib.nodes import Nodes
from drill_lib.process import run

QUICK_SECONDS = 60


class Kubernetes(Nodes):
    def kubectl_command(self, *words: str) -> list[str]:
        return [self._program, "kubectl", *words]

    def kubectl(self, *words: str, seconds: float = QUICK_SECONDS) -> str:
        return run(self.kubectl_command(*words), seconds)

    def get(self, *words: str) -> Any:
        return json.loads(self.kubectl("get", *words, "-o", "json"))

    def exec_command(self, pod: str, words: Sequence[str]) -> list[str]:
        """The command that runs `words` in the pod."""
        return self.kubectl_command("exec", pod, "--", *words)

    def exec(self, pod: str, *words: str, seconds: float = QUICK_SECONDS) -> str:
        return run(self.exec_command(pod, words), seconds)

    def on_command(self, node: str, words: Sequence[str]) -> list[str]:
        """The command that runs `words` on the node."""
        return [self._program, "on", node, *words]

    def on(self, node: str, *words: str, seconds: float = QUICK_SECONDS) -> str:
        return run(self.on_command(node, words), seconds)
