# shellcheck shell=bash
# Loop devices and FUSE connections of a node. They belong to the machine, not to a namespace, and a
# loop device outlives all around it: what is a node's is found before the node dies. Sourced.

# Device numbers (MAJOR:MINOR) of the FUSE filesystems mounted in a process' mount namespace.
fuse_devices_of() {
  awk '{ for (i = 7; $i != "-"; i++); if ($(i + 1) ~ /^fuse(\.|$)/) print $3 }' \
    "/proc/$1/mountinfo" | sort -u
}

# Those that the node has and the machine around the lab has not.
own_fuse_devices() { comm -23 <(fuse_devices_of "$1") <(fuse_devices_of $$); }

loop_names() {
  local path
  for path in /sys/block/loop*/loop; do
    [ -d "$path" ] && basename "$(dirname "$path")"
  done
  return 0
}

# A number that the kernel gives to each use of a device: tells our use from the next one's.
loop_sequence() { cat "/sys/block/$1/diskseq" 2>/dev/null || echo 0; }

loop_in_use() { [ -d "/sys/block/$1/loop" ]; }

# Loop devices that the node's /dev/cleat names.
loops_named_by() {
  local link
  for link in "$(node_dir "$1")"/dev/*; do
    [ -L "$link" ] && basename "$(readlink "$link")"
  done
  return 0
}

# The device number (MAJOR:MINOR) of the filesystem that a loop device's file is on; nothing when
# its FUSE server is dead. Status 137 when the server does not answer.
loop_filesystem() {
  timeout -s KILL 1 losetup --noheadings -O BACK-MAJ:MIN "/dev/$1" 2>/dev/null | tr -d ' '
}

# The file itself: MAJOR:MINOR:INODE.
loop_file() {
  timeout -s KILL 1 losetup --noheadings -O BACK-MAJ:MIN,BACK-INO "/dev/$1" 2>/dev/null |
    awk '{ print $1 ":" $2 }'
}

# Loop devices whose file is on one of these FUSE filesystems. One whose server does not answer is
# skipped: it is known by name.
loops_on() {
  local name device
  for name in $(loop_names); do
    device=$(loop_filesystem "$name") || continue
    [ -n "$device" ] && [[ " $* " == *" $device "* ]] && echo "$name"
  done
  return 0
}

# Loop devices whose file is this device: the kubelet makes one on each raw block volume.
loops_above() {
  local file name
  file=$(stat -c %Hd:%Ld:%i "/dev/$1") || return 0
  for name in $(loop_names); do
    [ "$(loop_file "$name")" != "$file" ] || echo "$name"
  done
}

# Names from standard input, each after those that hold it open.
with_loops_above() {
  local name
  while read -r name; do
    loops_above "$name"
    echo "$name"
  done
}

with_sequence() {
  local name
  while read -r name; do echo "$name $(loop_sequence "$name")"; done
}

# A file that the machine itself sees is somebody else's: the name in /dev/cleat was an old one.
has_foreign_file() {
  local file
  file=$(cat "/sys/block/$1/loop/backing_file" 2>/dev/null) || return 0
  [ -f "$file" ] || [ -b "$file" ]
}

# "LOOP SEQUENCE" of each loop device of a node that runs with this pid.
loops_of_living() {
  local devices name
  mapfile -t devices < <(own_fuse_devices "$2")
  {
    loops_named_by "$1"
    [ ${#devices[@]} -eq 0 ] || loops_on "${devices[@]}"
  } | sort -u | while read -r name; do
    has_foreign_file "$name" || echo "$name"
  done | with_loops_above | with_sequence
}

# The same for a node that is gone: what its /dev/cleat names and has no server any more. A device
# with a server belongs to another node by now.
loops_of_dead() {
  local name filesystem
  loops_named_by "$1" | sort -u | while read -r name; do
    ! has_foreign_file "$name" || continue
    filesystem=$(loop_filesystem "$name") || continue
    if [ -z "$filesystem" ]; then echo "$name"; fi
  done | with_loops_above | with_sequence
}

# Makes requests to dead FUSE servers fail instead of wait. Connections are named by minor number.
abort_fuse() {
  [ $# -gt 0 ] || return 0
  # shellcheck disable=SC2016 # expanded by the inner shell
  unshare --mount --propagation private bash -c '
    mount -t fusectl fusectl /sys/fs/fuse/connections
    for device in "$@"; do
      connection=/sys/fs/fuse/connections/${device#*:}
      if [ -e "$connection/abort" ]; then echo 1 >"$connection/abort"; fi
    done' abort_fuse "$@"
}

# Detaches "LOOP SEQUENCE" lines from standard input, as far as they are still the same use.
detach_loops() {
  local name sequence
  while read -r name sequence; do
    wait_for 10 detach_loop "$name" "$sequence" ||
      die "/dev/$name is still in use; see: grep $name /proc/*/mountinfo"
  done
}

# True when the device is gone; else asks the kernel to detach it (at its last close).
detach_loop() {
  loop_in_use "$1" && [ "$(loop_sequence "$1")" = "$2" ] || return 0
  losetup --detach "/dev/$1" 2>/dev/null
  ! loop_in_use "$1"
}
