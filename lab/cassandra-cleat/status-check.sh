#!/usr/bin/env bash
# Shows pods, claims, volumes and ring, and says whether the data is whole again: a pod that is
# Running may still lack what was written while it was away.
# usage: status-check.sh [--deep]     --deep compares the members' data, too (nodetool's preview)
# Exit status: 0 whole, 1 not (yet), 2 wrong usage.
set -euo pipefail
# shellcheck source=lab/cassandra-cleat/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

KEYSPACE=isd_weather_data
DEEP=false
PROBLEMS=()

heading() { printf '\n== %s\n' "$*"; }
problem() { PROBLEMS+=("$*"); }

in_pod() { kubectl exec "$1" -- "${@:2}"; }

show_pods() {
  heading "pods"
  kubectl get pods -l app=cassandra -o wide
  local pod ready
  for pod in "${PODS[@]}"; do
    ready=$(kubectl get pod "$pod" --ignore-not-found \
      -o jsonpath='{.status.conditions[?(@.type=="Ready")].status}')
    if [ "$ready" = True ]; then READY+=("$pod"); else problem "$pod is not Ready"; fi
  done
}

show_claims() {
  heading "claims"
  kubectl get pvc -l app=cassandra
}

# Replicas that are in sync, of those that the volume is to have.
replicas_of() {
  cleat v i "$1" -j | jq -r '.[0]
    | "\([.replicas[] | select(.state == "in_sync")] | length) \(.ha)"'
}

show_volumes() {
  heading "cleat v l"
  cleat v l
  local volume in_sync wanted
  for volume in $(kubectl get pvc -l app=cassandra -o jsonpath='{.items[*].spec.volumeName}'); do
    read -r in_sync wanted < <(replicas_of "$volume")
    [ "$in_sync" -ge "$wanted" ] || problem "$volume: $in_sync of $wanted replicas in sync"
  done
}

# Each member has to see all of them up: what one sees need not be what the other sees.
show_ring() {
  local pod status up
  for pod in "${READY[@]}"; do
    heading "nodetool status, as $pod sees it"
    status=$(in_pod "$pod" nodetool status)
    echo "$status"
    up=$(grep -c '^UN ' <<<"$status" || [ $? -eq 1 ])
    [ "$up" -eq ${#PODS[@]} ] || problem "$pod sees $up of ${#PODS[@]} members up and normal"
  done
}

show_hints() {
  local pod hints
  heading "hints: writes that a member keeps for another"
  for pod in "${READY[@]}"; do
    hints=$(in_pod "$pod" find /cassandra_data/hints -name '*.hints' | wc -l)
    echo "$pod: $hints files"
    [ "$hints" -eq 0 ] || problem "$pod has not delivered all hints yet"
  done
}

compare_members() {
  heading "nodetool repair -full --preview $KEYSPACE"
  local answer
  answer=$(in_pod "${READY[0]}" nodetool repair -full --preview "$KEYSPACE") || {
    problem "the members could not be compared"
    return
  }
  tail -n 4 <<<"$answer"
  grep -q 'Previewed data was in sync' <<<"$answer" ||
    problem "the members differ: lab/kubernetes kubectl exec ${READY[0]} -- nodetool repair -full"
}

main() {
  case "${1:-}" in
    --deep) DEEP=true ;;
    '') ;;
    *) die_usage "unknown argument '$1'; usage: status-check.sh [--deep]" ;;
  esac
  check_lab
  READY=()
  show_pods
  show_claims
  show_volumes
  show_ring
  show_hints
  if $DEEP && [ ${#READY[@]} -gt 0 ]; then compare_members; fi
  heading "verdict"
  if [ ${#PROBLEMS[@]} -eq 0 ]; then
    echo "whole: every member is up, every replica in sync, no write outstanding"
    return
  fi
  printf 'not whole: %s\n' "${PROBLEMS[@]}"
  return 1
}

main "$@"
