"""The load: cqlsh COPY of the weather file, and what it says while it runs."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .process import DrillError, end_group, start
from .table import COLUMNS, TABLE

# A small file is loaded no faster than in this time, to last through the whole failover.
LOAD_SECONDS_MIN = 95

PROGRESS = re.compile(r"Processed: (\d+) rows;")
IMPORTED = re.compile(r"^(\d+) rows imported from \d+ files? in .*\((\d+) skipped\)")
RETRY = re.compile(r"Failed to import \d+ rows: .* will retry later")


def copy_statement(csv: Path, rejected: Path, rows: int) -> str:
    """The COPY of the whole file.

    MAXINSERTERRORS = -1  never end the load because of failed batches: they are retried.
    MAXATTEMPTS           a batch that was on its way to the lost node is tried again, not given up.
    MAXINFLIGHTMESSAGES   few enough that retries do not drown the survivor in its 768 MB of heap.
    CHUNKSIZE             small, so that the limit on the rate gives an even load and not a wave.
    ERRFILE               rows that were given up in spite of all would be here.
    """
    rate = max(rows // LOAD_SECONDS_MIN, 1)
    return (
        f"COPY {TABLE} ({COLUMNS}) FROM '{csv}' WITH MAXINSERTERRORS = -1 AND MAXATTEMPTS = 50 "
        f"AND MAXINFLIGHTMESSAGES = 64 AND CHUNKSIZE = 1000 AND INGESTRATE = {rate} "
        f"AND ERRFILE = '{rejected}';\n"
    )


@dataclass(frozen=True)
class Progress:
    at: float
    rows: int


class CopyOutput:
    """What cqlsh's output, fed line by line, says of the load."""

    def __init__(self) -> None:
        self.progress: list[Progress] = []
        self.retries = 0
        self.rows_imported: int | None = None
        self.rows_skipped = 0

    def feed(self, line: str, at: float) -> None:
        if match := PROGRESS.search(line):
            rows = int(match[1])
            if not self.progress or rows > self.progress[-1].rows:
                self.progress.append(Progress(at, rows))
        elif match := IMPORTED.search(line):
            self.rows_imported, self.rows_skipped = int(match[1]), int(match[2])
        elif RETRY.search(line):
            self.retries += 1

    def rows_so_far(self) -> int:
        return self.progress[-1].rows if self.progress else 0

    def longest_pause(self) -> float:
        """The longest time in which no row was acknowledged, in seconds."""
        times = [progress.at for progress in self.progress]
        return max((after - before for before, after in zip(times, times[1:])), default=0.0)


class Load:
    """One run of cqlsh COPY. `gave_up` tells whether there is a file of rejected rows."""

    def __init__(self, command: Sequence[str], log: Path, gave_up: Callable[[], bool]) -> None:
        self.output = CopyOutput()
        self._log = log
        self._gave_up = gave_up
        self._process = start(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_rows(self, rows: int, seconds: float) -> None:
        """Until so many rows were acknowledged. DrillError if the load ended or hung before."""
        deadline = time.monotonic() + seconds
        while self.output.rows_so_far() < rows:
            if self._process.poll() is not None:
                raise DrillError(f"cqlsh ended before {rows} rows were loaded: see {self._log}")
            if time.monotonic() > deadline:
                seen = self.output.rows_so_far()
                raise DrillError(f"cqlsh loaded {seen} rows in {seconds:.0f} s: see {self._log}")
            time.sleep(0.1)

    def wait_finished(self, seconds: float) -> None:
        try:
            self._process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise DrillError(
                f"cqlsh COPY did not finish within {seconds:.0f} s: see {self._log}"
            ) from None
        self._reader.join(timeout=10)
        # Not the exit status: cqlsh ends with 2 as soon as one batch had to be sent again.
        if self.output.rows_imported is None:
            raise DrillError(f"cqlsh ended without its last line: see {self._log}")
        if self._gave_up():
            raise DrillError(f"cqlsh gave up rows: why is in {self._log}")

    def end(self) -> None:
        end_group(self._process)

    def _read(self) -> None:
        assert self._process.stdout is not None
        # Universal newlines: cqlsh ends a progress line with a carriage return only.
        with open(self._log, "w", encoding="utf-8") as log:
            for line in self._process.stdout:
                log.write(line)
                log.flush()
                self.output.feed(line, time.time())
