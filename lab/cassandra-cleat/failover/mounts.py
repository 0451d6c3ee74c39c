"""The volumes of pods among a node's mounts: when one appears, and on which device."""

from __future__ import annotations

import os
from dataclasses import dataclass

from drill_lib.process import DrillError

from .kubernetes import Kubernetes

CSI = "volumes/kubernetes.io~csi"
# Prints when a mount point with the word shows up, and the line of it.
WAIT = (
    'while ! line=$(grep -m1 -F -- "$0" /proc/self/mountinfo); do sleep 0.05; done; '
    'date +%s.%N; echo "$line"'
)


@dataclass(frozen=True)
class Mount:
    at: float
    device: str  # kernel name, such as loop3
    volume: str  # the persistent volume's name


def parse_wait(text: str) -> Mount:
    """What WAIT printed. A line of mountinfo has the mount point in front of a dash, and in that
    CSI/VOLUME/mount; and the device behind the dash."""
    at, line = text.strip().splitlines()[-2:]
    point, device = line.split()[4], line.split(" - ", 1)[1].split()[1]
    volume = point.partition(f"/{CSI}/")[2].split("/")[0]
    return Mount(float(at), os.path.basename(device), volume)


def wait_mount(kubernetes: Kubernetes, node: str, uid: str, seconds: float) -> Mount:
    """Until the pod's volume is mounted on the node, or was already."""
    words = ["sh", "-c", WAIT, f"/pods/{uid}/{CSI}"]
    text = kubernetes.on(node, *words, seconds=seconds)
    try:
        return parse_wait(text)
    except (ValueError, IndexError):
        raise DrillError(f"mounts of {node} are not understood: {text!r}") from None
