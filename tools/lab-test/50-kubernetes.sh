#!/usr/bin/env bash
# Every scenario, on one lab.
set -euo pipefail
exec "$CLEAT_ROOT/test/kubernetes/run"
