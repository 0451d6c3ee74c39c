# shellcheck shell=bash disable=SC2034 # names are used by those who source this
# What every part of the lab shares: where things are, and who is alive. Sourced.
#
# Layout of a cluster's directory:
#   settings, secret, lock, starting, outer.pid, outer.log
#   nodes/NAME/{pid, node.log, cleatd.log, keeper.log, isolated, etc/, lib/, dev/, hosts}
# A pid file holds "PID START": the pid as the host sees it and its start time, so that a number
# used again by another process is never taken for ours.

LAB_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
LAB_LIB=$LAB_ROOT/lab/lib
NETWORK=10.91.0
NODE_PREFIX=cassandra
NODES_MAX=9
# Directories that every node covers with its own; they must exist on the machine as mount points.
MOUNT_POINTS=(/etc/cleat /var/lib/cleat /dev/cleat)

say() { printf '%s %s\n' "$(date +%T)" "$*" >&2; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}
die_usage() {
  printf 'error: %s\n' "$*" >&2
  exit 2
}

node_name() { echo "$NODE_PREFIX$1"; }
node_index() { echo "${1#"$NODE_PREFIX"}"; }
node_address() { echo "$NETWORK.$((10 + $(node_index "$1")))"; }
node_dir() { echo "$LAB_DIR/nodes/$1"; }
node_link() { echo "v-$1"; }

# Names of all nodes of the cluster, in order.
node_names() {
  local i
  for ((i = 1; i <= LAB_NODES; i++)); do node_name "$i"; done
}

# The pid of a pid file when that very process is alive; status 1 when not.
alive_pid() {
  local pid start stat
  [ -s "$1" ] || return 1
  read -r pid start <"$1"
  { read -r -a stat <"/proc/$pid/stat"; } 2>/dev/null || return 1
  [ "${stat[21]}" = "$start" ] && [ "${stat[2]}" != Z ] && echo "$pid"
}

outer_pid() { alive_pid "$LAB_DIR/outer.pid"; }
node_pid() { alive_pid "$(node_dir "$1")/pid"; }

# Writes the pid file of the process that calls this, as the host sees it. The caller's /proc must
# still be the host's; read is a builtin, so that /proc/self is this shell.
write_pid_file() {
  local stat
  read -r -a stat </proc/self/stat
  echo "${stat[0]} ${stat[21]}" >"$1.new"
  mv "$1.new" "$1"
}

# wait_for SECONDS COMMAND…: until the command succeeds; status 1 when the time is over.
wait_for() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    [ $SECONDS -lt $deadline ] || return 1
    sleep 0.05
  done
}

is_gone() { ! alive_pid "$1" >/dev/null; }
