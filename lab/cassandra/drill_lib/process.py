"""Running commands with a limit in time, and telling of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any


class DrillError(Exception):
    """A step did not happen. The text says what, why, and where to look."""


def start(command: Sequence[str], **how: Any) -> subprocess.Popen[str]:
    """Starts the command in a session of its own, for end_group. `how` is as Popen takes it."""
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, text=True, start_new_session=True, **how
    )


def end_group(process: subprocess.Popen[str], how: signal.Signals = signal.SIGTERM) -> None:
    """Ends a process that has its own session, with all it started, within seconds."""
    for sign in (how, signal.SIGKILL):
        if process.poll() is None:
            try:
                os.killpg(process.pid, sign)
            except ProcessLookupError:
                pass
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                continue


def run(command: Sequence[str], seconds: float) -> str:
    """Standard output of the command. DrillError if it fails or takes longer than `seconds`."""
    process = start(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    shown = " ".join(command)
    try:
        out, err = process.communicate(timeout=seconds)
    except BaseException as error:
        end_group(process)
        if isinstance(error, subprocess.TimeoutExpired):
            raise DrillError(f"no answer within {seconds:.0f} s: {shown}") from None
        raise
    if process.returncode != 0:
        last = "\n".join((err.strip() or out.strip()).splitlines()[-5:])
        raise DrillError(f"exit status {process.returncode}: {shown}\n{last}")
    return out


def wait_until(what: str, seconds: float, happened: Callable[[], bool], every: float = 0.2) -> None:
    """Asks `happened` until it says yes. DrillError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            raise DrillError(f"{what}: not within {seconds:.0f} s")
        time.sleep(every)


# Longer than a hint stays in memory before it is flushed to a file (conf/cassandra.yaml.in).
QUIET_SECONDS = 4.0


def wait_quiet(what: str, seconds: float, busy: Callable[[], bool]) -> float:
    """Waits until `busy` said no for QUIET_SECONDS. Gives the time at which the quiet began."""
    began: float | None = None

    def quiet_long_enough() -> bool:
        nonlocal began
        if busy():
            began = None
            return False
        began = began or time.time()
        return time.time() - began >= QUIET_SECONDS

    wait_until(what, seconds, quiet_long_enough, every=0.5)
    assert began is not None
    return began


def say(text: str) -> None:
    print(f"drill: {text}", flush=True)


def attempt(what: str, act: Callable[..., object], *words: object) -> bool:
    """A step of the clean-up: that it fails is told, but keeps no other step from being done."""
    try:
        act(*words)
    except (DrillError, OSError) as error:
        print(f"drill: clean-up: could not {what}: {error}", file=sys.stderr, flush=True)
        return False
    return True
