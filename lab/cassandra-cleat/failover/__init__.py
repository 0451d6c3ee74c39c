"""The failover drill on Kubernetes: a pod of a loaded Cassandra goes on elsewhere."""

import sys
from pathlib import Path

# What both drills share is the library of the one without Kubernetes.
sys.path.append(str(Path(__file__).resolve().parents[2] / "cassandra"))
