#!/usr/bin/env bash
# The simulator: fixed seeds, fresh ones, and planted bugs, which must be found. Two at a time.
# no-lease and ignore-epoch are not among them: 200 seeds do not show them reliably yet.
set -euo pipefail
sim=$CLEAT_BUILD/bin/cleat-sim
fresh=$(date +%s)
echo "fresh seeds from $fresh"

planted() {
  local bug
  for bug in acknowledge-early ignore-errors forget-dirty lose-recent lie-about-removal \
    skip-flush skip-copy; do
    "$sim" --bug "$bug" --first-seed 1 --seeds 200 --until-failure || return 1
  done
}

"$sim" --first-seed 1 --seeds 200 >"$CLEAT_OUT/fixed" &
fixed=$!
status=0
"$sim" --first-seed "$fresh" --seeds 50 >"$CLEAT_OUT/fresh" || status=1
planted >"$CLEAT_OUT/planted" || status=1
wait "$fixed" || status=1
cat "$CLEAT_OUT"/{fixed,fresh,planted}
exit "$status"
