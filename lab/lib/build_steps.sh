# shellcheck shell=bash
# Long steps of a build that is made once. Sourced after common.sh.

# run_step NAME LOG COMMAND...: runs the command with its output in LOG and shows that it lives.
run_step() {
  local name=$1 log=$2 started=$SECONDS
  shift 2
  "$@" >"$log" 2>&1 &
  local pid=$!
  while kill -0 "$pid" 2>/dev/null; do
    sleep 1
    (((SECONDS - started) % 20 == 19)) && say "$name: $((SECONDS - started)) s"
  done
  wait "$pid" || {
    tail -n 20 "$log" >&2
    die "$name failed; its last lines are above"
  }
  say "$name: done in $((SECONDS - started)) s"
}

# lock_builds DIRECTORY: until this process ends, nobody else builds there.
lock_builds() {
  mkdir -p "$1"
  exec {BUILD_LOCK}>"$1/.lock"
  flock -n "$BUILD_LOCK" || { say "waiting for another build" && flock "$BUILD_LOCK"; }
}
