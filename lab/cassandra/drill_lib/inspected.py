"""What `cleat v inspect -j` tells of a volume."""

from __future__ import annotations

from typing import Any

from .process import DrillError


def find_epoch(inspected: Any) -> int | None:
    """The volume's epoch, at whatever depth it stands."""
    if isinstance(inspected, dict):
        if "epoch" in inspected:
            return int(inspected["epoch"])
        inspected = list(inspected.values())
    if isinstance(inspected, list):
        return next((e for e in map(find_epoch, inspected) if e is not None), None)
    return None


def epoch_of(inspected: Any) -> int:
    epoch = find_epoch(inspected)
    if epoch is None:
        raise DrillError(f"cleat v i -j tells no epoch: {inspected}")
    return epoch
