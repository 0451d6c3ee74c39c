#!/bin/bash
# The FUSE device as filesystems and operators use it, and every way in which it ends.
# usage: frontend_device.sh DIRECTORY-OF-PROGRAMS
set -euo pipefail
# shellcheck source=test/integration/frontend_lib.sh
source "$(dirname "$0")/frontend_lib.sh"
mount_point=$work/mnt
mkdir "$mount_point"

stop_server() {  # SIGNAL
  kill "-$1" "$server_pid"
  wait_for "the server's end" is_gone "$server_pid"
}
stop_keeper() {
  kill -TERM "$keeper_pid"
  wait_for "the keeper's end" is_gone "$keeper_pid"
}
has_size() { [ "$(blockdev --getsize64 "$device")" = "$1" ]; }
has_no_loops() { [ -z "$(own_loops)" ]; }
expect_zeros() {  # FILE BYTES
  cmp -s -n "$2" "$1" /dev/zero || fail "$1 does not read as zeros"
}

# Every descriptor of /dev/fuse that the server has is O_NONBLOCK: its loop would hang in a read.
expect_no_waiting_reads() {
  local file flags found=0
  for file in /proc/"$server_pid"/fd/*; do
    [ "$(readlink "$file")" = /dev/fuse ] || continue
    found=$((found + 1))
    flags=$(sed -n 's/^flags:\t//p' "/proc/$server_pid/fdinfo/${file##*/}")
    [ $((8#$flags & 8#4000)) != 0 ] || fail "reads of /dev/fuse may wait: flags $flags"
  done
  [ "$found" -gt 0 ] || fail "the server has no descriptor of /dev/fuse"
}

start_keeper
start_server --size 512M --grown-size 768M

note "sectors, direct I/O, size"
[ "$(blockdev --getss "$device")" = 4096 ] || fail "sectors are not 4096 bytes"
[ "$(blockdev --getsize64 "$device")" = $((512 << 20)) ] || fail "wrong size"
[ "$(losetup -n -O DIO "$device" | tr -d ' ')" = 1 ] || fail "the loop device does no direct I/O"

note "fio verify, every size and depth"
for block_size in 4k 60k 1m 4m; do
  fio --name=verify --filename="$device" --ioengine=io_uring --direct=1 --rw=randrw \
    --bs="$block_size" --iodepth=16 --size=120M \
    --verify=crc32c --verify_fatal=1 --verify_state_save=0 --output="$work/fio.log" \
    || fail "fio verify with $block_size"
done

note "the server never waits in the kernel for a request"
expect_no_waiting_reads

note "ext4: data survive, fsck is clean, fstrim works"
mkfs.ext4 -q -F "$device"
mount "$device" "$mount_point"
head -c 64M /dev/urandom >"$work/random"
cp "$work/random" "$mount_point/random"
sync -f "$mount_point"
cp "$work/random" "$mount_point/trimmed"
rm "$mount_point/trimmed"
fstrim "$mount_point"
cmp "$work/random" "$mount_point/random" || fail "ext4 lost data"

note "a mounted device is not taken away"
kill -INT "$server_pid"
wait_for "the refusal" grep -q 'in use' "$work/server.log"
cmp "$work/random" "$mount_point/random" || fail "a refused detach did harm"

note "an orderly restart under a mounted filesystem"
stop_server TERM
(sleep 0.3; echo late >"$mount_point/late"; sync -f "$mount_point") &
writer=$!
sleep 0.6
is_gone "$writer" && fail "a write went through without a server"
start_server --size 512M --grown-size 768M
wait "$writer" || fail "the write that waited for the new server failed"
expect_no_waiting_reads
umount "$mount_point"
e2fsck -fn "$device" >>"$work/fsck.log" 2>&1 || fail "e2fsck"

note "discard and zeroes read as zeros"
head -c 16M "$work/random" | dd of="$device" bs=1M oflag=direct status=none
blkdiscard -f -o 4096 -l $((8 << 20)) "$device" 2>>"$work/discard.log"
dd if="$device" of="$work/read" bs=4k skip=1 count=2048 iflag=direct status=none
expect_zeros "$work/read" $((8 << 20))
cmp -n 4096 "$work/random" "$device" || fail "the discard reached too far"
blkdiscard -f -z -o $((8 << 20)) -l $((8 << 20)) "$device" 2>>"$work/discard.log"
dd if="$device" of="$work/read" bs=1M skip=8 count=8 iflag=direct status=none
expect_zeros "$work/read" $((8 << 20))

note "growth"
kill -USR1 "$server_pid"
wait_for "the new size" has_size $((768 << 20))

note "xfs"
mkfs.xfs -q -f "$device"
mount "$device" "$mount_point"
cp "$work/random" "$mount_point/"
umount "$mount_point"
xfs_repair -n "$device" >>"$work/fsck.log" 2>&1 || fail "xfs_repair"

note "detach leaves nothing"
stop_server INT
expect_nothing_left

note "the keeper ends while a filesystem is mounted and the server is dead"
start_server --size 512M
mkfs.ext4 -q -F "$device"
mount "$device" "$mount_point"
kill -9 "$server_pid"
wait "$server_pid" 2>/dev/null || [ $? = 137 ]
(echo lost >"$mount_point/lost"; sync -f "$mount_point") 2>/dev/null &
stop_keeper
wait_for "the unmount" umount "$mount_point"
wait_for "the end of the loop device" has_no_loops
expect_nothing_left

note "a second keeper in the same directory is refused"
start_keeper
if timeout 5 "$bin/cleat-keeper" --run-dir "$run_dir" 2>"$work/second.log"; then
  fail "two keepers"
fi
grep -q 'another cleat-keeper' "$work/second.log" || fail "the second keeper gives no reason"

note "a keeper that was killed: the next one cleans up"
start_server --size 512M
kill -9 "$keeper_pid"
wait "$keeper_pid" 2>/dev/null || [ $? = 137 ]
kill -9 "$server_pid"
wait "$server_pid" 2>/dev/null || [ $? = 137 ]
rm -f "$run_dir/keeper.sock"
start_keeper
wait_for "the end of the loop device" has_no_loops
[ -z "$(own_mounts)" ] || fail "mounts of the killed keeper are left"
start_server --size 512M
dd if="$device" of=/dev/null bs=1M count=4 iflag=direct status=none

note "the keeper's orderly end takes devices away"
stop_keeper
stop_server TERM
expect_nothing_left
note "passed"
