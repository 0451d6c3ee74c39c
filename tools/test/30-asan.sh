#!/usr/bin/env bash
# Unit tests and some seeds of the simulator under AddressSanitizer and UBSan. The crash tests of
# the store take many minutes so: ./dev soak asan runs them.
set -euo pipefail
# shellcheck source=tools/lib.sh
source "$CLEAT_ROOT/tools/lib.sh"

build=$CLEAT_ROOT/build/asan
modules='common|core|io|wire|engine|control|keeper|fuse|nbd|frontend'

cmake_configure asan
mapfile -t programs < <(ninja -C "$build" -t targets all |
  sed -nE "s/^(cleat_($modules)(_[a-z_]+)?_test): phony$/\1/p" | sort -u)
[ ${#programs[@]} -gt 0 ] || die "no test program of the modules $modules"
ninja -C "$build" -j "$(jobs_count)" "${programs[@]}" cleat-sim
"$build/bin/cleat-sim" --first-seed 1 --seeds 10
exec "$CLEAT_ROOT/tools/run_ctest" "$build" -R "^($(
  IFS='|'
  echo "${programs[*]}"
))\$"
