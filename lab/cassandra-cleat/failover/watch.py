"""Watching the API: kubectl writes one JSON after the other, and each is told with its time."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from drill_lib.process import end_group, start

from .kubernetes import Kubernetes

DECODER = json.JSONDecoder()
PIECE_BYTES = 1 << 16
RESTART_SECONDS = 0.5

# Time of arrival, kind of the change (ADDED, MODIFIED, DELETED), the whole object.
Handler = Callable[[float, str, dict[str, Any]], None]


class JsonStream:
    """Whole JSON values out of a text that comes in pieces."""

    def __init__(self) -> None:
        self._text = ""

    def feed(self, piece: str) -> Iterator[Any]:
        self._text += piece
        while True:
            self._text = self._text.lstrip()
            try:
                value, end = DECODER.raw_decode(self._text)
            except json.JSONDecodeError:
                return
            self._text = self._text[end:]
            yield value


class Watch:
    """Tells of every change of some objects, from now on, in a thread of its own."""

    def __init__(self, kubernetes: Kubernetes, words: list[str], handler: Handler) -> None:
        self._command = kubernetes.kubectl_command(
            "get", *words, "--watch", "--output-watch-events", "-o", "json"
        )
        self._handler = handler
        self._ended = threading.Event()
        self._process = self._start()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def end(self) -> None:
        self._ended.set()
        end_group(self._process)
        self._reader.join(timeout=5)
        # One that the reader was just about to start.
        end_group(self._process)

    def _start(self) -> subprocess.Popen[str]:
        return start(self._command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def _read(self) -> None:
        # A watch that the server ends is begun again, and then tells of what is there as ADDED.
        while True:
            self._read_one()
            if self._ended.wait(RESTART_SECONDS):
                return
            self._process = self._start()

    def _read_one(self) -> None:
        assert self._process.stdout is not None
        stream = JsonStream()
        with self._process.stdout as output:
            while piece := os.read(output.fileno(), PIECE_BYTES):
                at = time.time()
                for change in stream.feed(piece.decode(errors="replace")):
                    self._handler(at, change["type"], change["object"])
        self._process.wait()
