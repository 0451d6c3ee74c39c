#!/usr/bin/env bash
# The simulator over 10,000 fresh seeds, on every processor, in slices: a line for each.
set -euo pipefail
fresh=$(date +%s)
slices=40
each=250
echo "fresh seeds from $fresh: $slices slices of $each"
# A slice that fails, even by a crash, ends no other: the shell between makes any end of it a 1.
seq "$fresh" "$each" $((fresh + (slices - 1) * each)) |
  xargs -P "$(nproc)" -I '{}' bash -c '"$0" --first-seed "$1" --seeds "$2" || exit 1' \
    "$CLEAT_BUILD/bin/cleat-sim" '{}' "$each"
