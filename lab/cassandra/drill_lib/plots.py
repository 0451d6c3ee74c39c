"""The plots of the report: what the load and the devices did, second by second."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .colors import BLUE, GREEN, ORANGE, RED

RATE_WINDOW_S = 2.0
COLORS = (BLUE, RED, ORANGE, GREEN)

# The events that are marked, by short names, and the color of their kind.
Marks = Mapping[str, tuple[str, str]]


def rates(
    progress: list[dict[str, float]], begin: float, end: float
) -> tuple[list[float], list[float]]:
    """Middles of windows of RATE_WINDOW_S and the rows per second in them. cqlsh tells of rows in
    lumps of a chunk, so between two of its lines the rows are taken to have come evenly."""
    times = [begin] + [p["at"] for p in progress]
    rows = [0.0] + [float(p["rows"]) for p in progress]
    edges = np.arange(begin, end + RATE_WINDOW_S, RATE_WINDOW_S)
    counts = np.diff(np.interp(edges, times, rows))
    return list(edges[:-1] + RATE_WINDOW_S / 2), list(counts / RATE_WINDOW_S)


def label_positions(times: list[float], width: float) -> list[float]:
    """Places for labels at their times, moved right as far as they would overlap."""
    places: list[float] = []
    for time in times:
        places.append(time if not places else max(time, places[-1] + width))
    return places


class Plot:
    """A figure of panels over one axis of time, with the events as vertical lines through all."""

    def __init__(self, data: dict[str, Any], marks: Marks, title: str, panels: int) -> None:
        times = {event["name"]: event["at"] for event in data["timeline"]}
        self.zero = times.get("loss", min(times.values()))
        self.begin = times["load_started"] - self.zero
        self.end = max(times.values()) - self.zero
        self._events = [(times[n] - self.zero, *marks[n]) for n in marks if n in times]
        self._events.sort()
        self.figure: Figure
        self.axes: list[Axes]
        self.figure, axes = plt.subplots(
            panels, 1, sharex=True, figsize=(13, 2.4 + 2.1 * panels), squeeze=False
        )
        self.axes = [row[0] for row in axes]
        self.figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold")

    def save(self, path: Path) -> None:
        for axes in self.axes:
            axes.grid(True, color="#dddddd", linewidth=0.6)
            axes.set_axisbelow(True)
            axes.set_xlim(self.begin, max(self.end * 1.02, self.begin + 1))
            axes.set_ylim(bottom=0)
            axes.spines[["top", "right"]].set_visible(False)
            for at, _, color in self._events:
                axes.axvline(at, color=color, linewidth=1, linestyle=(0, (4, 2)))
        self.axes[-1].set_xlabel("seconds after the loss")
        self._label_events(self.axes[0])
        self.figure.tight_layout(rect=(0, 0, 1, 0.97))
        self.figure.savefig(path, dpi=110)
        plt.close(self.figure)

    def _label_events(self, axes: Axes) -> None:
        width = (self.end - self.begin) / 40
        places = label_positions([at for at, _, _ in self._events], width)
        for (at, name, color), place in zip(self._events, places):
            axes.annotate(
                f"{name} {at:+.1f}" if at else name,
                xy=(at, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(place, 1.1),
                textcoords=("data", "axes fraction"),
                rotation=50,
                ha="left",
                va="bottom",
                fontsize=8.5,
                color=color,
                arrowprops={"arrowstyle": "-", "relpos": (0, 0), "color": color, "linewidth": 0.6},
            )


def plot_load(data: dict[str, Any], marks: Marks, path: Path) -> None:
    plot = Plot(data, marks, "cqlsh COPY: rows acknowledged", 2)
    progress = data["load_progress"]
    end = progress[-1]["at"] if progress else plot.zero
    times, values = rates(progress, plot.begin + plot.zero, end)
    per_second, total = plot.axes
    per_second.fill_between(
        [t - plot.zero for t in times], values, step="mid", color=COLORS[0], alpha=0.25
    )
    per_second.step([t - plot.zero for t in times], values, where="mid", color=COLORS[0])
    per_second.set_ylabel("rows/s")
    total.plot(
        [p["at"] - plot.zero for p in progress],
        [p["rows"] / 1000 for p in progress],
        color=COLORS[0],
    )
    total.set_ylabel("thousand rows in all")
    plot.save(path)


def plot_devices(
    data: dict[str, Any], marks: Marks, path: Path, title: str, series: list[tuple[str, str]]
) -> None:
    """One panel per series (key of a sample, label); one line per volume and node."""
    plot = Plot(data, marks, title, len(series))
    for axes, (key, label) in zip(plot.axes, series):
        for device, color in zip(data["devices"], COLORS):
            samples = device["samples"]
            name = f"{device['volume']} on {device['node']}"
            times = [sample["at"] - plot.zero for sample in samples]
            axes.plot(
                times, [sample[key] for sample in samples], color=color, label=name, linewidth=1.2
            )
        axes.set_ylabel(label)
    plot.axes[0].legend(loc="upper right", fontsize=9, framealpha=0.85)
    plot.save(path)


def draw(out: Path, data: dict[str, Any], marks: Marks) -> list[str]:
    """Draws what there is data for; gives the names of the files."""
    if not data["load_progress"]:
        return []
    plot_load(data, marks, out / "load.png")
    if not data["devices"]:
        return ["load.png"]
    iops = [
        ("writes_per_s", "writes/s"),
        ("reads_per_s", "reads/s"),
        ("flushes_per_s", "flushes/s"),
    ]
    bandwidth = [
        ("write_mb_per_s", "MB/s written"),
        ("read_mb_per_s", "MB/s read"),
        ("write_await_ms", "write wait, ms"),
    ]
    title = "The volumes' devices: operations per second"
    plot_devices(data, marks, out / "iops.png", title, iops)
    title = "The volumes' devices: throughput and wait"
    plot_devices(data, marks, out / "bandwidth.png", title, bandwidth)
    return ["load.png", "iops.png", "bandwidth.png"]
