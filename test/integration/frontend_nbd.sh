#!/bin/bash
# The NBD server as other people's clients use it: libnbd's tools and fio's engine.
# usage: frontend_nbd.sh DIRECTORY-OF-PROGRAMS
set -euo pipefail
# shellcheck source=test/integration/frontend_lib.sh
source "$(dirname "$0")/frontend_lib.sh"
socket=$work/nbd.sock
uri="nbd+unix:///test?socket=$socket"

restart_server() {  # [OPTION...]
  [ -z "$server_pid" ] || kill -TERM "$server_pid"
  [ -z "$server_pid" ] || wait "$server_pid" || fail "the server's end"
  : >"$work/server.out"
  "$bin/cleat-memory-device" --memory "$memory" --size 256M --volume test --latency 200us \
    --nbd "unix:$socket,127.0.0.1:19473" "$@" >"$work/server.out" 2>>"$work/server.log" &
  server_pid=$!
  wait_for "the server" grep -q '^ready' "$work/server.out"
}

restart_server
note "nbdinfo"
nbdinfo "$uri" >"$work/info.log"
for line in 'export-size: 268435456' 'can_flush: true' 'can_fua: true' 'can_multi_conn: true' \
  'can_trim: true' 'can_zero: true' 'block_size_minimum: 4096'; do
  grep -q "$line" "$work/info.log" || fail "nbdinfo does not say: $line"
done
nbdinfo --list nbd://127.0.0.1:19473 | grep 'export="test"' >/dev/null ||
  fail "the export is not listed"
if nbdinfo "nbd+unix:///other?socket=$socket" 2>"$work/other.log"; then
  fail "an unknown export was found"
fi

note "nbdcopy there and back, four connections"
head -c 100M /dev/urandom >"$work/random"
truncate -s 256M "$work/random"
nbdcopy --connections=4 "$work/random" "$uri"
nbdcopy --connections=4 "$uri" "$work/back"
cmp "$work/random" "$work/back"

note "fio verify"
for block_size in 4k 60k 256k 4m; do
  fio --name=verify --ioengine=nbd --uri="$uri" --rw=randrw --bs="$block_size" --iodepth=32 \
    --size=60M --fsync=50 --verify=crc32c --verify_fatal=1 --verify_state_save=0 \
    --output="$work/fio.log" || fail "fio verify with $block_size"
done

note "sectors of 512 bytes"
restart_server --nbd-block 512
for block_size in 512 1536 4608; do
  fio --name=small --ioengine=nbd --uri="$uri" --rw=randrw --bs="$block_size" --iodepth=32 \
    --size=4608k --verify=crc32c --verify_fatal=1 --verify_state_save=0 --output="$work/fio.log" \
    || fail "fio verify with $block_size bytes"
done

note "garbage and clients that leave in the middle"
for i in 1 2 3 4 5; do
  (exec 3<>/dev/tcp/127.0.0.1/19473 && head -c "$((i * 977))" /dev/urandom >&3) \
    2>>"$work/garbage.log" || [ $? -gt 0 ]
done
nbdinfo "$uri" >/dev/null || fail "the server did not survive"

kill -TERM "$server_pid"
wait "$server_pid" || fail "the server's end"
server_pid=
note "passed"
