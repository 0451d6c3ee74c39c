#!/bin/bash
# A server that is killed with -9 every 10 to 90 ms while fio writes and verifies on its device: no
# I/O error and no wrong byte, only pauses.
# usage: frontend_restart.sh DIRECTORY-OF-PROGRAMS [SECONDS]
set -euo pipefail
# shellcheck source=test/integration/frontend_lib.sh
source "$(dirname "$0")/frontend_lib.sh"
seconds=${2:-12}
kills_min=$((seconds * 3))

start_keeper
start_server --size 128M --latency 300us
note "device $device, $seconds s of kills"

# Two jobs, each in its half: small writes, and ones that the kernel splits.
fio --filename="$device" --ioengine=io_uring --direct=1 --rw=randrw --rwmixread=30 --iodepth=16 \
  --verify=crc32c --verify_fatal=1 --verify_backlog=256 --verify_state_save=0 \
  --runtime="$seconds" --time_based --output="$work/fio.log" \
  --name=small --bs=4k --offset=0 --size=64M --name=large --bs=512k --offset=64M --size=64M &
fio_pid=$!

kills=0
give_up=$((SECONDS + 3 * seconds + 20))
while ! is_gone "$fio_pid"; do
  [ "$SECONDS" -lt "$give_up" ] || fail "fio hangs: requests were lost"
  sleep "0.0$((RANDOM % 80 + 10))"
  kill -9 "$server_pid"
  wait "$server_pid" 2>/dev/null || [ $? = 137 ] || fail "the server ended by itself"
  kills=$((kills + 1))
  start_server --size 128M --latency 300us
done

wait "$fio_pid" || fail "fio: $(grep -E 'err=|verify|fio:' "$work/fio.log" | head -5)"
note "$kills kills, $(grep -E 'write: IOPS' "$work/fio.log" | sed 's/^ *//')"
[ "$kills" -ge "$kills_min" ] || fail "only $kills kills in $seconds s: too few to mean anything"

kill -TERM "$keeper_pid"
wait_for "the keeper's end" is_gone "$keeper_pid"
expect_nothing_left
note "passed"
