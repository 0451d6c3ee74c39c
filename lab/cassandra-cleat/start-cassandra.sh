#!/usr/bin/env bash
# Starts a ring of two Cassandras on Cleat volumes, and waits until both serve CQL. What their
# claims hold from before is taken up again.
# usage: start-cassandra.sh [--timeout SECONDS]
set -euo pipefail
# shellcheck source=lab/cassandra-cleat/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

IMAGE=lab.cleat.dev/cassandra:5.0.9
TIMEOUT=900
WARNINGS='{{range .items}}{{.metadata.uid}} {{.involvedObject.kind}} {{.involvedObject.name}}: '
WARNINGS+='{{printf "%.400q" .message}}{{"\n"}}{{end}}'
declare -A TOLD=()

# A second name, after the tar's, tells whether a node has this very build of the image.
import_image() {
  local node=$1 tar=$2 mark
  mark=lab.cleat.dev/$(basename "$tar" .tar)
  if on_node "$node" ctr -n k8s.io images ls -q | grep -qxF "$mark"; then return; fi
  say "bringing the image to $node"
  on_node "$node" ctr -n k8s.io images import "$tar" >/dev/null
  on_node "$node" ctr -n k8s.io images tag --force "$IMAGE" "$mark" >/dev/null
}

import_images() {
  local tar node
  tar=$("$HERE/image/build" | tail -n 1)
  for node in $(kubectl get nodes -o jsonpath='{.items[*].metadata.name}'); do
    import_image "$node" "$tar"
  done
}

# Why a claim is not provisioned, or a pod does not start, stands in events only. Each once.
tell_warnings() {
  local uid text
  while read -r uid text; do
    if [ -n "${TOLD[$uid]:-}" ]; then continue; fi
    TOLD[$uid]=yes
    if [ "${1:-}" != quietly ]; then say "$text"; fi
  done < <(kubectl get events --field-selector type=Warning -o go-template="$WARNINGS")
}

# Tells what is going on while the pods come up, and gives up after TIMEOUT.
wait_until_ready() {
  local deadline=$((SECONDS + TIMEOUT))
  until kubectl rollout status statefulset/cassandra --timeout=10s >&2 2>/dev/null; do
    tell_warnings
    [ "$SECONDS" -lt "$deadline" ] ||
      die "Cassandra is not up within $TIMEOUT s; see: lab/kubernetes kubectl describe pod,pvc"
  done
}

main() {
  while [ $# -gt 0 ]; do
    case $1 in
      --timeout) TIMEOUT=${2:?--timeout needs a number of seconds} && shift ;;
      *) die_usage "unknown argument '$1'; usage: start-cassandra.sh [--timeout SECONDS]" ;;
    esac
    shift
  done
  check_lab
  import_images
  tell_warnings quietly # those of before
  kubectl apply -f "$STORAGE/cleat-storageclass.yaml" -f "$HERE/cassandra-service.yaml" \
    -f "$HERE/cassandra-statefulset.yaml" >&2
  wait_until_ready
  kubectl get pods -l app=cassandra -o wide
}

main "$@"
