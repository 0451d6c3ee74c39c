# shellcheck shell=bash
# Shared by ./dev, the test steps and the checks. Sourced, not run.

CLEAT_ROOT=${CLEAT_ROOT:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)}
export CLEAT_ROOT

say() {
  if [ -t 2 ]; then printf '\033[1m==> %s\033[0m\n' "$*" >&2; else printf '==> %s\n' "$*" >&2; fi
}
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}
die_usage() {
  printf 'error: %s\n' "$*" >&2
  exit 2
}

jobs_count() { nproc; }

# Configures build/PRESET the first time; afterwards ninja does it when a CMake file changed.
cmake_configure() {
  local preset=$1
  [ -f "$CLEAT_ROOT/build/$preset/build.ninja" ] && return 0
  (cd "$CLEAT_ROOT" && cmake --preset "$preset")
}

# The C++ files of this tree that git knows or would know, NUL separated.
cpp_files() {
  git -C "$CLEAT_ROOT" ls-files -z --cached --others --exclude-standard -- '*.h' '*.cc'
}
