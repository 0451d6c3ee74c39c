"""The plots of the load and the devices, and beside them the ways back as bars."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import drill_lib.plots
import matplotlib.pyplot as plt
from drill_lib.colors import GREEN, GREY, PURPLE

from .steps import LABELS, MARKS

# A stage of the way back by the figure at its end, what it is, its color.
STAGES = (
    ("mounted_s", "until the volume is mounted", PURPLE),
    ("cql_ready_s", "until CQL is ready", GREY),
    ("whole_s", "until the data is whole", GREEN),
)


def stages(way: dict[str, Any]) -> list[tuple[float, float, str, str]]:
    """Begin, length, label and color of each stage that was seen."""
    found, begin = [], 0.0
    for name, label, color in STAGES:
        end = way[name]
        if end is not None:
            found.append((begin, max(end - begin, 0.0), label, color))
            begin = max(begin, end)
    return found


def plot_ways(data: dict[str, Any], path: Path) -> None:
    ways = data["ways_back"]
    figure, axes = plt.subplots(figsize=(13, 1.6 + 0.8 * len(ways)))
    labelled: set[str] = set()
    for place, way in enumerate(ways):
        for begin, length, label, color in stages(way):
            shown = None if label in labelled else label
            axes.barh(place, length, left=begin, color=color, label=shown, height=0.55)
            labelled.add(label)
    axes.set_yticks(range(len(ways)), [LABELS[way["kind"]].replace(": ", ":\n") for way in ways])
    axes.invert_yaxis()
    axes.set_xlabel("seconds after the loss")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.25), ncols=3, frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw(out: Path, data: dict[str, Any]) -> list[str]:
    names = drill_lib.plots.draw(out, data, MARKS)
    if data["ways_back"][0]["cql_ready_s"] is None:
        return names
    plot_ways(data, out / "ways_back.png")
    return [*names, "ways_back.png"]
