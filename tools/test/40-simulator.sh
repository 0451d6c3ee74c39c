#!/usr/bin/env bash
# The simulator: fixed seeds, fresh ones, and every planted bug, which must be found. Two at a time.
set -euo pipefail
sim=$CLEAT_BUILD/bin/cleat-sim
fresh=$(date +%s)
echo "fresh seeds from $fresh"

"$sim" --first-seed 1 --seeds 100 >"$CLEAT_OUT/fixed.1" & first=$!
"$sim" --first-seed 101 --seeds 100 >"$CLEAT_OUT/fixed.2" & second=$!
status=0
wait "$first" || status=1
"$sim" --first-seed "$fresh" --seeds 50 >"$CLEAT_OUT/fresh" & first=$!
wait "$second" || status=1
"$sim" --planted-bugs --first-seed 1 --seeds 200 >"$CLEAT_OUT/planted" || status=1
wait "$first" || status=1
cat "$CLEAT_OUT"/{fixed.1,fixed.2,fresh,planted}
exit "$status"
