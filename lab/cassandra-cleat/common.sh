# shellcheck shell=bash disable=SC2034 # names are used by those who source this
# What the scripts of this directory share. Sourced.

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=lab/lib/common.sh
source "$HERE/../lib/common.sh"

LAB=$HERE/../kubernetes
STORAGE=$HERE/StorageClass
PODS=(cassandra-0 cassandra-1)
# cassandra2 answers whatever is done to cassandra3 and whoever runs the control plane.
CLEAT_NODE=cassandra2

kubectl() { "$LAB" kubectl "$@"; }
on_node() { "$LAB" on "$@"; }
cleat() { on_node "$CLEAT_NODE" cleat "$@"; }

check_lab() {
  kubectl get nodes >/dev/null || die "Kubernetes does not answer; run: lab/kubernetes up"
}

exists() { [ -n "$(kubectl get "$@" --ignore-not-found -o name)" ]; }
