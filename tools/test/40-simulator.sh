#!/usr/bin/env bash
# The simulator: 200 seeds, half of them fixed and half fresh, and every planted bug found.
set -euo pipefail
"$CLEAT_BUILD/bin/cleat-sim" --first-seed 1 --seeds 100
fresh=$(date +%s)
echo "fresh seeds from $fresh"
"$CLEAT_BUILD/bin/cleat-sim" --first-seed "$fresh" --seeds 100
"$CLEAT_BUILD/bin/cleat-sim" --planted-bugs --seeds 100
