#!/usr/bin/env bash
# Our servers against clients that others wrote.
set -euo pipefail
exec "$CLEAT_ROOT/test/conformance/run" "$CLEAT_BUILD"
