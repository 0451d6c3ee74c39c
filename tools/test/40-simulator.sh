#!/usr/bin/env bash
# The simulator: 200 seeds, half of them fixed and half fresh, and every planted bug found.
set -euo pipefail
"$CLEAT_BUILD/bin/cleat-sim" --first-seed 1 --seeds 100
"$CLEAT_BUILD/bin/cleat-sim" --first-seed "$(date +%s)" --seeds 100
"$CLEAT_BUILD/bin/cleat-sim" --planted-bugs
