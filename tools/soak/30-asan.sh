#!/usr/bin/env bash
# Every unit test under AddressSanitizer and UBSan, the store's crash tests too.
set -euo pipefail
"$CLEAT_ROOT/dev" build asan
exec "$CLEAT_ROOT/tools/run_ctest" "$CLEAT_ROOT/build/asan"
