"""The nodes of a lab, and what can happen to them."""

from __future__ import annotations

from pathlib import Path

from .process import run

SURVIVOR, LOST, TAKEOVER = "cassandra2", "cassandra3", "cassandra1"
NODE_SECONDS = 180


class Nodes:
    """Through the lab's program and its options."""

    def __init__(self, program: Path, *options: str) -> None:
        self._program = str(program)
        self._options = options

    def crash(self, node: str) -> None:
        self._act("crash", node)

    def start(self, node: str) -> None:
        self._act("start", node)

    def isolate(self, node: str) -> None:
        self._act("isolate", node)

    def heal(self, node: str) -> None:
        self._act("heal", node)

    def _act(self, verb: str, node: str) -> None:
        run([self._program, verb, *self._options, node], NODE_SECONDS)
