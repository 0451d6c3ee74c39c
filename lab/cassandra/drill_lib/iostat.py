"""iostat beside the load, and what its JSON says of the volumes' devices."""

from __future__ import annotations

import datetime
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .process import DrillError, end_group, start

DECODER = json.JSONDecoder()


@dataclass(frozen=True)
class Sample:
    at: float  # end of the interval, seconds since 1970
    reads_per_s: float
    writes_per_s: float
    flushes_per_s: float
    read_mb_per_s: float
    write_mb_per_s: float
    write_await_ms: float
    util_percent: float


@dataclass
class Attachment:
    """A volume's device on one node, and when it was that."""

    volume: str
    node: str
    device: str  # kernel name, such as loop3
    since: float
    until: float | None = None
    samples: list[Sample] = field(default_factory=list)

    def covers(self, at: float) -> bool:
        return self.since <= at and (self.until is None or at <= self.until)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def statistics(text: str) -> Iterator[dict[str, Any]]:
    """The samples in iostat's JSON, which may be cut off anywhere by the end of iostat."""
    start = text.find("[", text.find('"statistics"'))
    if start < 0:
        return
    position = start + 1
    while True:
        while position < len(text) and text[position] in " \t\r\n,":
            position += 1
        try:
            sample, position = DECODER.raw_decode(text, position)
        except json.JSONDecodeError:
            return
        yield sample


def parse_sample(at: float, disk: dict[str, Any]) -> Sample:
    return Sample(
        at=at,
        reads_per_s=disk["r/s"],
        writes_per_s=disk["w/s"],
        flushes_per_s=disk["f/s"],
        read_mb_per_s=disk["rkB/s"] / 1024,
        write_mb_per_s=disk["wkB/s"] / 1024,
        write_await_ms=disk["w_await"],
        util_percent=disk["util"],
    )


def parse(text: str) -> Iterator[tuple[str, Sample]]:
    """(device, sample) of all that iostat -x -t -o JSON wrote."""
    for sample in statistics(text):
        at = datetime.datetime.strptime(sample["timestamp"], "%Y-%m-%dT%H:%M:%S%z").timestamp()
        for disk in sample["disk"]:
            yield disk["disk_device"], parse_sample(at, disk)


class Iostat:
    """iostat in the background, on all devices: that of the takeover does not exist yet."""

    def __init__(self, out: Path, interval: int, count: int | None = None) -> None:
        """Samples every `interval` seconds, `count` times or until the end."""
        self._file = out / "iostat.json"
        times = [str(interval), *([str(count)] if count else [])]
        with open(self._file, "w", encoding="utf-8") as output:
            self._process = start(
                ["iostat", "-x", "-d", "-t", "-y", "-o", "JSON", *times],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "S_TIME_FORMAT": "ISO", "LC_ALL": "C"},
            )

    def end(self) -> None:
        # At SIGINT iostat closes its JSON.
        end_group(self._process, signal.SIGINT)

    def fill(self, attachments: list[Attachment]) -> None:
        """Gives each attachment the samples of its device and its time."""
        text = self._file.read_text(encoding="utf-8")
        for device, sample in parse(text):
            for attachment in attachments:
                if attachment.device == device and attachment.covers(sample.at):
                    attachment.samples.append(sample)
        silent = [a.volume for a in attachments if not a.samples]
        if silent:
            raise DrillError(f"iostat saw nothing of {', '.join(silent)}: see {self._file}")
