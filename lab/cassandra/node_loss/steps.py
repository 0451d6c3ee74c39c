"""The steps that the drill must see, what of them is plotted, and the figures between them."""

from __future__ import annotations

from drill_lib.colors import BLUE, GREEN, GREY, PURPLE, RED
from drill_lib.tables import Figure

STEPS = {
    "load_started": "cqlsh COPY started",
    "loss": "cassandra3 lost",
    "fenced": "volume fenced (epoch raised)",
    "attached": "volume attached on cassandra1",
    "mounted": "file system mounted",
    "process_started": "Cassandra's process started",
    "replay_begin": "commit log replay begins",
    "replay_end": "commit log replayed",
    "cql_ready": "CQL ready",
    "hints_delivered": "hints delivered",
    "load_finished": "cqlsh COPY finished",
    "repair_done": "repair done",
    "rows_checked": "every row checked",
}

MARKS = {
    "loss": ("node lost", RED),
    "fenced": ("fenced", PURPLE),
    "attached": ("attached", PURPLE),
    "mounted": ("mounted", PURPLE),
    "process_started": ("process started", GREY),
    "replay_begin": ("replay begins", GREY),
    "replay_end": ("replay ends", GREY),
    "cql_ready": ("CQL ready", GREEN),
    "hints_delivered": ("hints delivered", GREEN),
    "load_finished": ("load finished", BLUE),
    "repair_done": ("repair done", GREEN),
}

RTO: tuple[Figure, ...] = (
    ("storage_s", "storage: loss until the volume is mounted", "loss", "mounted"),
    ("attach_s", "of which: loss until attached", "loss", "attached"),
    (
        "cassandra_start_s",
        "Cassandra: process started until CQL ready",
        "process_started",
        "cql_ready",
    ),
    ("replay_s", "of which: commit log replay", "replay_begin", "replay_end"),
    ("rto_s", "**loss until CQL ready (RTO)**", "loss", "cql_ready"),
    ("hints_s", "CQL ready until hints delivered", "cql_ready", "hints_delivered"),
    ("whole_s", "loss until hints delivered", "loss", "hints_delivered"),
)
