#!/usr/bin/env bash
# Every C++ file is as clang-format writes it; every shell script passes shellcheck.
set -euo pipefail
"$CLEAT_ROOT/tools/fmt" --check
"$CLEAT_ROOT/tools/check_shell"
