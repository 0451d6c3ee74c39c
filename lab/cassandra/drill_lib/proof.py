"""The load under which a node is lost, and the proof that nothing of it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .iostat import Attachment, Iostat
from .load import Load, Progress
from .member import Member
from .process import DrillError, attempt
from .rows import Comparison
from .timeline import Timeline

# The share of the rows that is loaded when the node is lost.
LOSS_AT = 0.25

# Limits of the steps, in seconds. They tell a stuck step from one on a slow machine.
HINTS_SECONDS = 300
REPAIR_SECONDS = 900
WRITE_CSV_SECONDS_PER_16MB = 120
COPY_SECONDS_PER_16MB = 600
CHECK_SECONDS_PER_16MB = 300


@dataclass(frozen=True, kw_only=True)
class Options:
    """Of every drill."""

    how: str  # the node is lost
    copies: int  # of 16 MB
    out: Path
    interval: int  # of iostat, in seconds
    count: int | None = None  # of iostat's samples; None: until the end


@dataclass
class Findings:
    """What the report shows beside the timeline."""

    volumes_before: str = ""
    volumes_after: str = ""
    rows_in_file: int = 0
    rows_loaded: int = 0
    copy_retries: int = 0
    longest_pause_s: float = 0.0
    repair_sync_tasks: int = 0
    attachments: list[Attachment] = field(default_factory=list)
    progress: list[Progress] = field(default_factory=list)
    comparison: Comparison | None = None
    replicas_equal_s: float | None = None
    failure: str = ""


class Proof:
    """Writes what it sees to timeline and findings."""

    def __init__(self, options: Options, timeline: Timeline, findings: Findings) -> None:
        self._options = options
        self._timeline = timeline
        self._findings = findings
        self._load: Load | None = None
        self._iostat: Iostat | None = None

    def run(self, play: Callable[[], None], put_away: Callable[[], None]) -> None:
        """Plays the drill. What was seen is kept also when a step fails: it is in `failure`."""
        try:
            play()
        except DrillError as error:
            self._findings.failure = str(error)
        except KeyboardInterrupt:
            self._findings.failure = "interrupted"
            raise
        finally:
            put_away()

    def per_copy(self, seconds: float) -> float:
        return seconds * self._options.copies

    def load_until_loss(
        self, command: Sequence[str], gave_up: Callable[[], bool], where: str
    ) -> None:
        """Starts the load, and iostat beside it; comes back when it is time for the loss."""
        out, rows = self._options.out, self._findings.rows_in_file
        self._iostat = Iostat(out, self._options.interval, self._options.count)
        self._load = Load(command, out / "copy.log", gave_up)
        self._timeline.mark("load_started", note=f"{rows} rows, {where}")
        self._load.wait_rows(int(LOSS_AT * rows), self.per_copy(COPY_SECONDS_PER_16MB))

    def finish_load(self, survivor: Member, host_id: str) -> None:
        """`host_id` is of the member that was lost."""
        assert self._load is not None
        delivered = survivor.wait_hints_delivered(host_id, HINTS_SECONDS)
        self._timeline.mark("hints_delivered", delivered)
        self._load.wait_finished(self.per_copy(COPY_SECONDS_PER_16MB))
        self._timeline.mark("load_finished", self._load.output.progress[-1].at)
        # An overloaded member makes hints without any failure: none may be left before the check.
        survivor.wait_hints_delivered(host_id, HINTS_SECONDS)

    def repair(self, survivor: Member) -> None:
        answer, tasks = survivor.repair(REPAIR_SECONDS)
        (self._options.out / "repair.log").write_text(answer)
        self._findings.repair_sync_tasks = tasks
        self._timeline.mark("repair_done", note=f"{tasks} sync tasks")

    def note_rows(self, answer: str) -> None:
        """What drill_lib.rows printed."""
        comparison = Comparison(**json.loads(answer.splitlines()[-1]))
        self._findings.comparison = comparison
        found = f"{comparison.rows_found} of {comparison.rows_expected} rows"
        self._timeline.mark("rows_checked", note=found)

    def end_load(self) -> None:
        if self._load is None:
            return
        self._load.end()
        output = self._load.output
        self._findings.rows_loaded = output.rows_imported or 0
        self._findings.copy_retries = output.retries
        self._findings.longest_pause_s = output.longest_pause()
        self._findings.progress = output.progress

    def end_iostat(self, attachments: list[Attachment]) -> None:
        """Gives the attachments their samples."""
        iostat, self._iostat = self._iostat, None
        if iostat is not None:
            iostat.end()
            self._findings.attachments = attachments
            attempt("read iostat", iostat.fill, attachments)
