#!/usr/bin/env bash
# pid 1 of a cluster: holds the namespaces that everything of the lab lives in, and the bridge
# between the nodes. When it dies the kernel takes all processes, mounts and links with it.
# usage: outer.sh CLUSTER_DIR DESCRIPTOR     a lock that is held until the pid file is there
set -euo pipefail
# shellcheck source=lab/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

LAB_DIR=$1
STARTING=$2
write_pid_file "$LAB_DIR/outer.pid"
flock --unlock "$STARTING"
exec {STARTING}>&-
mount --make-rprivate /
ip link set lo up
ip link add lab0 type bridge
ip address add "$NETWORK.1/24" dev lab0
ip link set lab0 up
touch "$LAB_DIR/outer.ready"

# Orphans of the nodes end up here: reap them for ever.
trap : CHLD
while :; do wait -n || sleep 1; done
