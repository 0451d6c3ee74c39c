"""A run as a table, in text and Markdown, and as JSON with everything that was measured."""
import dataclasses
import json
import os
import platform
import subprocess
import time

import figures

HEAD = ("figure", "unit", "raw", "sketch", "Cleat NBD", "Cleat FUSE", "against", "ratio", "goal",
        "result", "beside it")  # fmt: skip
NUMBERS = range(2, 6)


def number(value):
    if value is None:
        return ""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def against(row):
    side = row.figure.against
    if not side:
        return ""
    return f"{side} {number(row.medians.get(side))}"


def beside(row):
    """Sides without a column; those of single processes (with a colon or slash) are told apart."""
    pairs = [(side, value) for side, value in row.others().items() if not {":", "/"} & set(side)]
    return ", ".join(f"{side} {number(value)}" for side, value in pairs)


def cells(row):
    figure = row.figure
    sides = [number(row.medians.get(side)) for side in figures.MAIN_SIDES]
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    compared = [against(row), ratio, figure.goal(), row.result, beside(row)]
    return [figure.title, figure.unit, *sides, *compared]


def as_text(rows):
    lines = [list(HEAD), *(cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column in NUMBERS else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths))
        ).rstrip()
        for line in lines
    )


def as_markdown(rows):
    marks = ["---:" if column in NUMBERS else "---" for column in range(len(HEAD))]
    lines = [HEAD, marks, *(cells(row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def processes(rows):
    """Lines about single processes: where CPU and memory are."""
    for row in rows:
        named = {side: value for side, value in row.medians.items() if {":", "/"} & set(side)}
        if named:
            yield f"{row.figure.title} ({row.figure.unit}), by process:"
            yield from (f"  {side:32} {number(value):>8}" for side, value in named.items())


def summary(rows):
    judged = [row for row in rows if row.result]
    missed = [row.figure.title for row in judged if row.result == "MISSED"]
    text = f"{len(judged) - len(missed)} of {len(judged)} goals met"
    return text + (f"; missed: {', '.join(missed)}" if missed else "")


def commit(root):
    command = ["git", "-C", str(root), "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def machine(root):
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "date": time.strftime("%Y-%m-%d %H:%M:%S%z"),
        "kernel": platform.release(),
        "processors": os.cpu_count(),
        "processor": models[0] if models else platform.machine(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "load_average_before": os.getloadavg(),
        "commit": commit(root),
    }


def as_json(facts, settings, rows, series):
    out = {
        "machine": facts,
        "settings": settings,
        "figures": [
            {
                **dataclasses.asdict(row.figure),
                "goal": row.figure.goal(),
                "medians": row.medians,
                "ratio": row.ratio,
                "result": row.result,
                "samples": series[row.figure.key],
            }
            for row in rows
        ],
    }
    return json.dumps(out, indent=1, ensure_ascii=False)


def head(facts, settings):
    load = " ".join(f"{average:.2f}" for average in facts["load_average_before"])
    return (
        f"{facts['date']}, commit {facts['commit']}, Linux {facts['kernel']}, "
        f"{facts['processors']} × {facts['processor']}, "
        f"{settings['rounds']} rounds of {settings['seconds']:g} s, volume of {settings['size']}; "
        f"medians; load average before: {load}"
    )


def write(directory, facts, settings, rows, series):
    """Files DATE.json, .txt, .md; the text, and where it is."""
    directory.mkdir(parents=True, exist_ok=True)
    stem = directory / time.strftime("%Y-%m-%d-%H%M%S")
    title = head(facts, settings)
    tail = "\n".join([*processes(rows), "", summary(rows)])
    text = f"{title}\n\n{as_text(rows)}\n\n{tail}\n"
    markdown = f"{title}\n\n{as_markdown(rows)}\n\n```text\n{tail}\n```\n"
    for suffix, content in (
        (".txt", text),
        (".md", markdown),
        (".json", as_json(facts, settings, rows, series)),
    ):
        stem.with_suffix(suffix).write_text(content, encoding="utf-8")
    return text, stem
