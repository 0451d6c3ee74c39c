#!/usr/bin/env bash
# The simulator over 10,000 fresh seeds.
set -euo pipefail
exec "$CLEAT_BUILD/bin/cleat-sim" --seeds 10000
