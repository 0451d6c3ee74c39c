# shellcheck shell=bash
# For the tests of the device frontends: a keeper and a cleat-memory-device in a scratch directory,
# and a way out of every hang. Source it after `set -euo pipefail`; $1 of the script is the
# directory of the programs.
bin=${1:?usage: $(basename "$0") DIRECTORY-OF-PROGRAMS}
work=$(mktemp -d /tmp/cleat-frontend-XXXXXX)
memory=$(mktemp /dev/shm/cleat-frontend-XXXXXX)
run_dir=$work/run
keeper_pid=
server_pid=

note() { printf '%s %s\n' "$(date +%T.%3N)" "$*"; }
fail() {
  note "FAILED: $*" >&2
  tail -n 20 "$work"/*.log >&2 || note "no logs" >&2
  exit 1
}

start_keeper() {
  "$bin/cleat-keeper" --run-dir "$run_dir" >>"$work/keeper.log" 2>&1 &
  keeper_pid=$!
  wait_for "the keeper" test -S "$run_dir/keeper.sock"
}

# start_server [OPTION...]: returns when the device is there.
start_server() {
  : >"$work/server.out"
  "$bin/cleat-memory-device" --memory "$memory" --volume test --run-dir "$run_dir" "$@" \
    >"$work/server.out" 2>>"$work/server.log" &
  server_pid=$!
  wait_for "the server" grep -q '^ready' "$work/server.out"
  # shellcheck disable=SC2034 # for the script that sources this
  device=$(sed -n 's/^device //p' "$work/server.out")
}

# wait_for WHAT COMMAND...: up to 10 s.
wait_for() {
  local what=$1 i
  shift
  for ((i = 0; i < 500; i++)); do
    if "$@" 2>/dev/null; then return 0; fi
    sleep 0.02
  done
  fail "$what did not come within 10 s"
}

is_gone() { ! kill -0 "$1" 2>/dev/null; }
own_loops() { losetup -l -n -O NAME,BACK-FILE | grep "$work" || [ $? = 1 ]; }
own_mounts() { grep " $work" /proc/mounts || [ $? = 1 ]; }

# Nothing of ours may be left: device, mount, FUSE connection (which a mount stands for).
expect_nothing_left() {
  [ -z "$(own_loops)" ] || fail "loop devices are left: $(own_loops)"
  [ -z "$(own_mounts)" ] || fail "mounts are left: $(own_mounts)"
}

# Order matters: an aborted connection can't hang anybody.
clean_up() {
  local mount_point name
  set +e
  [ -n "$server_pid" ] && kill -9 "$server_pid" 2>/dev/null
  grep " $run_dir/fuse/" /proc/mounts | while read -r _ mount_point _; do
    umount -f "$mount_point" 2>/dev/null
  done
  grep " $work/" /proc/mounts | grep -v fuse.cleat | while read -r _ mount_point _; do
    umount -l "$mount_point"
  done
  if [ -n "$keeper_pid" ]; then
    kill "$keeper_pid" 2>/dev/null
    timeout 12 tail --pid="$keeper_pid" -f /dev/null
    kill -9 "$keeper_pid" 2>/dev/null
  fi
  own_loops | while read -r name _; do losetup -d "$name"; done
  own_mounts | while read -r _ mount_point _; do umount -l "$mount_point"; done
  rm -rf "$work" "$memory"
}
trap clean_up EXIT
trap 'exit 130' INT TERM
