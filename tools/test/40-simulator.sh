#!/usr/bin/env bash
# The simulator: fixed seeds, and the planted bugs it finds within them. tools/soak runs fresh ones.
set -euo pipefail
"$CLEAT_BUILD/bin/cleat-sim" --first-seed 1 --seeds 100
for bug in acknowledge-early ignore-errors forget-dirty lose-recent lie-about-removal; do
  "$CLEAT_BUILD/bin/cleat-sim" --bug "$bug" --first-seed 1 --seeds 20 --until-failure
done
