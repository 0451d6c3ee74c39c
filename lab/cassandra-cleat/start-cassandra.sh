#!/usr/bin/env bash
# Starts a ring of two Cassandras on Cleat volumes, and waits until both serve CQL. What their
# claims hold from before is taken up again.
# usage: start-cassandra.sh [--timeout SECONDS]
set -euo pipefail
# shellcheck source=lab/cassandra-cleat/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

IMAGE=lab.cleat.dev/cassandra:5.0.9
TIMEOUT=900

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

# Tells what is going on while the pods come up, and gives up after TIMEOUT.
wait_until_ready() {
  kubectl rollout status statefulset/cassandra --timeout="${TIMEOUT}s" >&2 || {
    kubectl get events --sort-by=.lastTimestamp | tail -n 12 >&2
    die "Cassandra is not up within $TIMEOUT s; see: lab/kubernetes kubectl describe pod"
  }
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
  kubectl apply -f "$STORAGE/cleat-storageclass.yaml" -f "$HERE/cassandra-service.yaml" \
    -f "$HERE/cassandra-statefulset.yaml" >&2
  wait_until_ready
  kubectl get pods -l app=cassandra -o wide
}

main "$@"
