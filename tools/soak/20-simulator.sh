#!/usr/bin/env bash
# The simulator over 10,000 fresh seeds.
set -euo pipefail
fresh=$(date +%s)
echo "fresh seeds from $fresh"
exec "$CLEAT_BUILD/bin/cleat-sim" --first-seed "$fresh" --seeds 10000
