#!/usr/bin/env bash
# `lab/cluster down` leaves no process, mount, loop device or file, wherever `up` was killed and
# whatever died before it.
# usage: lab.sh DIRECTORY-OF-PROGRAMS
set -euo pipefail
build=$(dirname "$(readlink -f "${1:?usage: $(basename "$0") DIRECTORY-OF-PROGRAMS}")")
lab=$(readlink -f "$(dirname "$0")/../../lab/cluster")
dir=$(mktemp -d /var/tmp/cleat-lab-test-XXXXXX)
slow=$(mktemp -d) # programs that begin late
# shellcheck source=test/integration/leftovers.sh
source "$(dirname "$0")/leftovers.sh"

note() { printf '%s %s\n' "$(date +%T)" "$*"; }
fail() {
  note "FAILED: $*" >&2
  tail -n 5 "$dir"/*.log "$dir"/nodes/*/node.log >&2 || note "no logs" >&2
  exit 1
}
lab() { "$lab" --dir "$dir" "$@"; }
on() { lab exec "$1" -- "${@:2}"; }
trap 'lab down; rm -rf "$slow"' EXIT

# "LOOP SEQUENCE" of the device behind a volume of a node.
loop_of() {
  local name
  name=$(basename "$(on "$1" readlink -f "/dev/cleat/$2")")
  echo "$name $(cat "/sys/block/$name/diskseq")"
}

loop_is_ours() {
  [ -d "/sys/block/$1/loop" ] && [ "$(cat "/sys/block/$1/diskseq")" = "$2" ]
}

expect_nothing_left() {
  lab down || fail "down failed"
  local left
  left=$(leftovers "$dir")
  [ -z "$left" ] || fail "left behind: $left"
}

# Starts `up` in a process group of its own and kills all of it after some seconds.
kill_up_after() {
  local pid
  setsid "$lab" --dir "$dir" up --nodes 2 --pool-size 1Gi --build "$build" >"$dir.up.log" 2>&1 &
  pid=$!
  sleep "$1"
  if kill -KILL -- "-$pid" 2>/dev/null; then note "up killed after $1 s"; fi
  wait "$pid" 2>/dev/null || note "up ended with status $?"
  rm -f "$dir.up.log"
}

bring_up() { lab up --nodes 2 --pool-size 1Gi --build "$build"; }

# A mounted volume with data that is not on its way yet.
use_volume() {
  on cassandra1 cleat volume create data1 --size 512M --ha 2
  on cassandra1 cleat host attach data1
  on cassandra1 cleat host mount data1 /run/data1
  on cassandra1 dd if=/dev/zero of=/run/data1/file bs=1M count=16 status=none
}

for seconds in 0.2 1 3 6; do
  kill_up_after "$seconds"
  expect_nothing_left
done

note "down while what the killed up began is slow to begin"
mkdir -p "$slow"
printf '#!/bin/sh\nsleep 2\nexec %s "$@"\n' "$(command -v unshare)" >"$slow/unshare"
chmod +x "$slow/unshare"
PATH=$slow:$PATH kill_up_after 1
expect_nothing_left
sleep 2
[ -z "$(own_processes "$dir")" ] || fail "processes came after down"

note "up on what an earlier one left: a pool file that is no pool"
kill_up_after 6
lab down --keep
rm -f "$dir"/nodes/*/lib/pools.toml
bring_up
use_volume
read -r loop sequence < <(loop_of cassandra1 data1)
note "down with a mounted volume on $loop"
expect_nothing_left
! loop_is_ours "$loop" "$sequence" || fail "$loop is left"

bring_up
use_volume
read -r loop sequence < <(loop_of cassandra1 data1)
note "down after everything of the cluster was killed from outside"
read -r outer _ <"$dir/outer.pid"
kill -KILL "$outer"
expect_nothing_left
! loop_is_ours "$loop" "$sequence" || fail "$loop is left"

bring_up
use_volume
read -r loop sequence < <(loop_of cassandra1 data1)
note "down after the keeper and cleatd were killed again and again"
for _ in 1 2 3; do
  on cassandra1 pkill -KILL -x 'cleat-keeper|cleatd' || fail "they did not run"
  sleep 0.3
done
expect_nothing_left
! loop_is_ours "$loop" "$sequence" || fail "$loop is left"
note "passed"
