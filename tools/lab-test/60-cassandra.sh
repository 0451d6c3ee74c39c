#!/usr/bin/env bash
# Cassandra on the lab: a planned move with what it is compared with, then the loss of a node, dead
# or cut off.
set -euo pipefail
export CLEAT_KUBE_DIR=/var/tmp/cleat-kubernetes-test
"$CLEAT_ROOT/tools/deps.sh" demo
trap '"$CLEAT_ROOT/test/kubernetes/down" || exit 1' EXIT
"$CLEAT_ROOT/lab/kubernetes" up --pool-size 512Gi
status=0
for how in cordon node-crash isolate; do
  compare=$([ "$how" = cordon ] && echo all || echo none)
  out=$CLEAT_OUT/$how
  rm -rf "$out"
  if "$CLEAT_ROOT/lab/cassandra-cleat/drill" --how "$how" --compare "$compare" --out "$out"; then
    echo "1 0" >>"$CLEAT_COUNTS"
  else
    echo "0 1" >>"$CLEAT_COUNTS"
    status=1
  fi
done
exit "$status"
