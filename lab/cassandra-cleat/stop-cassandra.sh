#!/usr/bin/env bash
# Stops the ring in order: each member drains and ends. Its volumes stay, for the next start.
# usage: stop-cassandra.sh [--delete-data]     volumes and claims go, too
set -euo pipefail
# shellcheck source=lab/cassandra-cleat/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

DELETE_DATA=false
# A pod has 60 s to drain; its volume is unmounted after it.
STOP_TIMEOUT=150s
DELETE_TIMEOUT=120

stop_pods() {
  if exists statefulset cassandra; then
    kubectl scale statefulset cassandra --replicas=0
  fi
  if exists pod -l app=cassandra; then
    kubectl wait --for=delete pod -l app=cassandra --timeout="$STOP_TIMEOUT"
  fi
  kubectl delete statefulset,service cassandra --ignore-not-found
}

volumes_of_claims() {
  kubectl get pv -o json |
    jq -r '.items[] | select(.spec.claimRef.name // "" | startswith("cassandra-data-"))
      | .metadata.name'
}

# A claim is gone at once, its volume when the driver has deleted it.
delete_data() {
  local deadline=$((SECONDS + DELETE_TIMEOUT))
  kubectl delete pvc -l app=cassandra --timeout="${DELETE_TIMEOUT}s"
  while [ -n "$(volumes_of_claims)" ]; do
    [ "$SECONDS" -lt "$deadline" ] ||
      die "these volumes are not deleted within $DELETE_TIMEOUT s: $(volumes_of_claims | xargs)"
    sleep 1
  done
}

main() {
  while [ $# -gt 0 ]; do
    case $1 in
      --delete-data) DELETE_DATA=true ;;
      *) die_usage "unknown argument '$1'; usage: stop-cassandra.sh [--delete-data]" ;;
    esac
    shift
  done
  check_lab
  stop_pods
  if $DELETE_DATA; then
    delete_data
    say "Cassandra is stopped, its data deleted"
  else
    say "Cassandra is stopped; its volumes stay: start-cassandra.sh takes them up again"
  fi
}

main "$@"
