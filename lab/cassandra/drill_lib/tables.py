"""The tables of a report, in Markdown, from what report.json holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# Name in report.json, what a person reads, from which event to which.
Figure = tuple[str, str, str, str]


def seconds(value: float | None, sign: str = "") -> str:
    return "not seen" if value is None else f"{value:{sign}.1f} s"


def timeline_table(data: dict[str, Any]) -> list[str]:
    lines = ["| after the loss | event | |", "|---:|---|---|"]
    for event in data["timeline"]:
        lines.append(
            f"| {seconds(event['after_loss_s'], '+')} | {event['label']} | {event['note']} |"
        )
    lines += [f"| not seen | {name} | |" for name in data["steps_not_seen"]]
    return lines


def rows_table(data: dict[str, Any]) -> list[str]:
    comparison = data["comparison"] or {}
    shown = (
        ("rows in the file", data["rows_in_file"]),
        ("rows_loaded (acknowledged, as cqlsh counts)", data["rows_loaded"]),
        ("rows found, on both replicas", data["rows_found"]),
        ("**rows_lost**", data["rows_lost"]),
        ("rows with other values than in the file", comparison.get("rows_different")),
        ("rows that are not in the file", comparison.get("rows_extra")),
    )
    lines = ["| rows | |", "|---|---:|"]
    lines += [
        f"| {name} | {'not known' if value is None else format(value, ',')} |"
        for name, value in shown
    ]
    return lines + [f"\n    {example}" for example in comparison.get("examples", [])]


def figure_rows(data: dict[str, Any], figures: Sequence[Figure]) -> list[str]:
    """The rows of the table of figures that are the same for every drill, and its head."""
    lines = ["| figure | |", "|---|---:|"]
    lines += [f"| {what} | {seconds(data['figures'][name])} |" for name, what, _, _ in figures]
    lines.append(f"| longest pause of the load | {seconds(data['longest_pause_of_load_s'])} |")
    lines.append(f"| batches that cqlsh sent again | {data['copy_retries']} |")
    lines.append(f"| ranges that repair found to differ | {data['repair_sync_tasks']} |")
    return lines


def devices_table(data: dict[str, Any]) -> list[str]:
    lines = [
        "| volume | on | device | written | writes/s | max | flushes/s | MB/s max | write wait |",
        "|---|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for device in data["devices"]:
        samples = device["samples"]
        if not samples:
            continue
        mean = {key: sum(s[key] for s in samples) / len(samples) for key in samples[0]}
        most = {key: max(s[key] for s in samples) for key in samples[0]}
        span = samples[-1]["at"] - samples[0]["at"]
        lines.append(
            f"| {device['volume']} | {device['node']} | {device['device']} "
            f"| {mean['write_mb_per_s'] * span:.0f} MB | {mean['writes_per_s']:.0f} "
            f"| {most['writes_per_s']:.0f} | {mean['flushes_per_s']:.0f} "
            f"| {most['write_mb_per_s']:.1f} | {mean['write_await_ms']:.2f} ms |"
        )
    return lines
