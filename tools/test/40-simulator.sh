#!/usr/bin/env bash
# The simulator: fixed seeds, fresh ones, and planted bugs, all of which must be found.
set -euo pipefail
sim=$CLEAT_BUILD/bin/cleat-sim
fresh=$(date +%s)
echo "fresh seeds from $fresh"

"$sim" --first-seed 1 --seeds 200 >"$CLEAT_OUT/fixed" &
fixed=$!
status=0
"$sim" --first-seed "$fresh" --seeds 50 >"$CLEAT_OUT/fresh" || status=1
"$sim" --planted-bugs --first-seed 1 --seeds 200 >"$CLEAT_OUT/planted" || status=1
wait "$fixed" || status=1
cat "$CLEAT_OUT"/{fixed,fresh,planted}
exit "$status"
