#!/usr/bin/env bash
# Runs inside a node before it stops in order: unmounts what is on its volumes and detaches them.
set -euo pipefail

# Mounts on the node's devices, the innermost first.
mounted_on() {
  awk -v device="$1" '{ for (i = 7; $i != "-"; i++); if ($(i + 2) == device) print $5 }' \
    /proc/self/mountinfo | tac
}

for link in /dev/cleat/*; do
  [ -L "$link" ] || continue
  device=$(readlink -f "$link")
  mounted_on "$device" | while read -r path; do umount "$path"; done
  cleat host detach "$(basename "$link")"
done
