#!/usr/bin/env bash
# pid 1 of a node: makes the node's own view of the machine, then runs its daemons and restarts
# those that die, as systemd would. SIGTERM ends it in order.
# usage: node.sh CLUSTER_DIR NAME
set -euo pipefail
# shellcheck source=lab/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

unset "${!CLEAT_@}" # options of cleatd may come from the environment
LAB_DIR=$1
NAME=$2
# shellcheck source=/dev/null
source "$LAB_DIR/settings"
DIR=$(node_dir "$NAME")
RESTART_DELAY=0.2

own_mounts() {
  mount --make-rprivate /
  mount -t sysfs sysfs /sys
  mount -t fusectl fusectl /sys/fs/fuse/connections
  mount -t tmpfs -o mode=755 tmpfs /run
  mkdir /run/lock /run/cleat
  mount --bind "$DIR/etc" /etc/cleat
  mount --bind "$DIR/lib" /var/lib/cleat
  mount --bind "$DIR/dev" /dev/cleat
  mount --bind "$DIR/hosts" /etc/hosts
  mount -t proc proc /proc # the last: pid files are written with the host's
}

own_network() {
  ip link set lo up
  wait_for 10 test -e /sys/class/net/eth0 || die "$NAME: no link to the cluster after 10 s"
  ip address add "$(node_address "$NAME")/24" dev eth0
  ip link set eth0 up
}

# supervise NAME COMMAND…: runs it again whenever it ends, until the node stops.
supervise() {
  local name=$1 status
  shift
  while [ ! -e /run/stopping ]; do
    "$@" >>"$DIR/$name.log" 2>&1 &
    echo $! >"/run/$name.pid"
    status=0
    wait $! || status=$?
    echo "$(date +%T) $name ended with status $status" >>"$DIR/node.log"
    sleep $RESTART_DELAY
  done
}

# Ends a daemon in order and waits for it.
end_daemon() {
  local pid
  pid=$(cat "/run/$1.pid")
  kill -TERM "$pid" 2>/dev/null || return 0
  wait_for 30 process_ended "$pid" || kill -KILL "$pid"
}

process_ended() {
  local stat
  { read -r -a stat <"/proc/$1/stat"; } 2>/dev/null || return 0
  [ "${stat[2]}" = Z ]
}

stop_in_order() {
  trap '' TERM
  touch /run/stopping
  end_daemon cleatd
  end_daemon cleat-keeper
  exit 0
}

hostname "$NAME"
rm -rf "${DIR:?}/dev"
mkdir "$DIR/dev"
write_pid_file "$DIR/pid"
own_mounts
own_network
export PATH=$LAB_BUILD/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
trap stop_in_order TERM
supervise cleat-keeper cleat-keeper --run-dir /run/cleat &
wait_for 5 test -S /run/cleat/keeper.sock || die "$NAME: cleat-keeper made no socket within 5 s"
supervise cleatd cleatd --config /etc/cleat/cleatd.toml &
trap : CHLD
while :; do wait -n || sleep 1; done
