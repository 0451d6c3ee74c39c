#!/usr/bin/env bash
# The NBD server against clients that others wrote: libnbd's tools, fio's engine and a FUSE mount of
# it with a filesystem on top. The volume is kept in a file by cleat-memory-device.
# usage: nbd_conformance.sh BUILD_DIR
set -euo pipefail
build=${1:?usage: nbd_conformance.sh BUILD_DIR}

work=$(mktemp -d /var/tmp/cleat-nbd.XXXXXX)
socket=$work/nbd.sock
uri="nbd+unix:///vol?socket=$socket"
server=
fuse=
loop=

cleanup() {
  if mountpoint -q "$work/mnt"; then umount "$work/mnt"; fi
  if [ -n "$loop" ]; then losetup --detach "$loop"; fi
  if [ -n "$fuse" ]; then
    fusermount3 -u -q "$work/fuse" && wait "$fuse"
  fi
  if [ -n "$server" ]; then
    kill "$server" && wait "$server"
  fi
  rm -rf "$work"
}
trap cleanup EXIT

step() { echo "nbd conformance: $*"; }

# wait_until COMMAND…: at most 10 s.
wait_until() {
  local try
  for ((try = 0; try < 100; try++)); do
    if "$@" >/dev/null 2>&1; then return 0; fi
    sleep 0.1
  done
  echo "not within 10 s: $*" >&2
  return 1
}

start_server() {
  "$build/bin/cleat-memory-device" --memory "$work/memory" --size 256M --volume vol \
    --nbd "unix:$socket" >"$work/server.log" 2>&1 &
  server=$!
  wait_until nbdinfo --size "$uri"
}

check_export() {
  step "nbdinfo: size, flags, list"
  [ "$(nbdinfo --size "$uri")" = $((256 << 20)) ]
  nbdinfo --json "$uri" >"$work/info"
  jq -e '.protocol == "newstyle-fixed"' "$work/info" >/dev/null
  jq -e '.exports[0] | .can_flush and .can_fua and .can_trim and .can_zero' "$work/info" >/dev/null
  jq -e '.exports[0] | ."is_read_only" | not' "$work/info" >/dev/null
  nbdinfo --list "nbd+unix:///?socket=$socket" | grep -q 'export="vol"'
  ! nbdinfo "nbd+unix:///nobody?socket=$socket" >"$work/info" 2>&1
}

check_copy() {
  step "nbdcopy: 64 MiB there and back, zeros over it"
  head -c $(((64 << 20) - 4096)) /dev/urandom >"$work/in"
  nbdcopy --destination-is-zero "$work/in" "$uri"
  nbdcopy "$uri" "$work/out"
  cmp -n "$(stat -c %s "$work/in")" "$work/in" "$work/out"
  truncate -s 256M "$work/zeros"
  nbdcopy "$work/zeros" "$uri"
  nbdcopy "$uri" "$work/out"
  cmp "$work/zeros" "$work/out"
}

check_fio() {
  step "fio: 4 KiB to 128 KiB at depth 16, verified"
  (cd "$work" && fio --name=nbd --ioengine=nbd --uri="$uri" --rw=randwrite --bsrange=4k-128k \
    --size=192M --iodepth=16 --verify=crc32c --verify_fatal=1 --output="$work/fio")
}

check_filesystem() {
  step "nbdfuse and a loop device: ext4, files, fsck clean"
  : >"$work/fuse"
  nbdfuse "$work/fuse" "$uri" &
  fuse=$!
  wait_until test -s "$work/fuse"
  loop=$(losetup --find --show --direct-io=on --sector-size 4096 "$work/fuse")
  mkfs.ext4 -q "$loop"
  mkdir "$work/mnt"
  mount "$loop" "$work/mnt"
  head -c 50M "$work/in" >"$work/mnt/a"
  cp "$work/mnt/a" "$work/mnt/b"
  sync "$work/mnt/b"
  rm "$work/mnt/b"
  fstrim "$work/mnt"
  umount "$work/mnt"
  e2fsck -f -n "$loop" >"$work/fsck"
  mount -o ro "$loop" "$work/mnt"
  cmp -n $((50 << 20)) "$work/in" "$work/mnt/a"
}

start_server
check_export
check_copy
check_fio
check_filesystem
step passed
