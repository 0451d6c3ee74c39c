"""The steps that the drill must see, what of them is plotted, and the figures between them."""

from __future__ import annotations

from drill_lib.colors import BLUE, GREEN, GREY, PURPLE, RED
from drill_lib.tables import Figure

STEPS = {
    "load_started": "cqlsh COPY started",
    "loss": "the pod's node is taken from it",
    "deleted": "pod marked as deleted",
    "terminated": "pod gone",
    "detached": "volume detached",
    "scheduled": "new pod scheduled",
    "fenced": "volume fenced (epoch raised)",
    "attached": "volume attached",
    "mounted": "volume mounted",
    "container_started": "container started",
    "replay_begin": "commit log replay begins",
    "replay_end": "commit log replayed",
    "gossip_up": "the other member sees it up",
    "cql_ready": "CQL ready",
    "pod_ready": "pod Ready",
    "hints_delivered": "hints delivered",
    "load_finished": "cqlsh COPY finished",
    "repair_done": "repair finished",
    "rows_checked": "every row checked",
}

MARKS = {
    "loss": ("node taken", RED),
    "terminated": ("pod gone", RED),
    "detached": ("detached", PURPLE),
    "scheduled": ("scheduled", PURPLE),
    "fenced": ("fenced", PURPLE),
    "attached": ("attached", PURPLE),
    "mounted": ("mounted", PURPLE),
    "container_started": ("container started", GREY),
    "replay_end": ("commit log replayed", GREY),
    "gossip_up": ("seen up", GREEN),
    "cql_ready": ("CQL ready", GREEN),
    "pod_ready": ("pod Ready", GREEN),
    "hints_delivered": ("hints delivered", GREEN),
    "load_finished": ("load finished", BLUE),
    "repair_done": ("repair done", GREEN),
}

# The way back into service, phase by phase, and its sums.
RTO: tuple[Figure, ...] = (
    ("terminate_s", "loss until the old pod is gone", "loss", "terminated"),
    ("detach_s", "old pod gone until the volume is detached", "terminated", "detached"),
    ("schedule_s", "old pod gone until the new one is scheduled", "terminated", "scheduled"),
    ("attach_s", "detached until attached on the new node", "detached", "attached"),
    ("mount_s", "attached until mounted", "attached", "mounted"),
    ("container_s", "mounted until the container runs", "mounted", "container_started"),
    ("start_s", "container until CQL ready", "container_started", "cql_ready"),
    ("replay_s", "of which: commit log replay", "replay_begin", "replay_end"),
    ("storage_s", "**storage: old pod gone until the volume is mounted**", "terminated", "mounted"),
    ("rto_s", "**loss until CQL ready (RTO)**", "loss", "cql_ready"),
    ("ready_s", "loss until the pod is Ready", "loss", "pod_ready"),
    ("whole_s", "loss until hints delivered", "loss", "hints_delivered"),
    ("repaired_s", "loss until repair finished", "loss", "repair_done"),
)

# The steps of the ways back that are compared.
RECOVERY_STEPS = {
    "loss": "the pod, and perhaps its volume, is taken",
    "deleted": "pod marked as deleted",
    "terminated": "pod gone",
    "detached": "old volume detached",
    "scheduled": "new pod scheduled",
    "attached": "volume attached",
    "mounted": "volume mounted",
    "container_started": "container started",
    "replay_begin": "commit log replay begins",
    "replay_end": "commit log replayed",
    "cql_ready": "CQL ready",
    "pod_ready": "pod Ready",
    "whole": "data whole again",
    "checked": "every row of the ballast checked",
}
# A lost volume may be detached after the new one is in use, and only then be deleted.
RECOVERY_MAY_LACK = ("detached",)

# The failover itself, and what it is compared with.
DRILL = "drill"
LABELS = {
    DRILL: "the pod moves with its volume, under load (this drill)",
    "move": "the pod moves with its volume",
    "restore": "volume lost: restore from a Cleat snapshot, then repair",
    "bootstrap": "volume lost: full bootstrap on an empty volume",
}
