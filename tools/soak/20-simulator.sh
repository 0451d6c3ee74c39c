#!/usr/bin/env bash
# The simulator over 10,000 fresh seeds, on every processor.
set -euo pipefail
fresh=$(date +%s)
parts=$(nproc)
each=$(((10000 + parts - 1) / parts))
echo "fresh seeds from $fresh, $parts processes of $each"
runs=()
for ((part = 0; part < parts; part++)); do
  "$CLEAT_BUILD/bin/cleat-sim" --first-seed $((fresh + part * each)) --seeds "$each" &
  runs+=($!)
done
status=0
for run in "${runs[@]}"; do wait "$run" || status=1; done
exit "$status"
