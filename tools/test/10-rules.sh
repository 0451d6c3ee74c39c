#!/usr/bin/env bash
# The rules of the tree: who may include whom, sizes, words, and that the checks themselves notice.
set -euo pipefail
status=0
for check in check_dependencies check_sizes check_words check_links; do
  if "$CLEAT_ROOT/tools/$check"; then echo "1 0" >>"$CLEAT_COUNTS"; else
    echo "0 1" >>"$CLEAT_COUNTS"
    status=1
  fi
done
for directory in tools test/integration lab/cassandra lab/cassandra-cleat bench; do
  python3 -m unittest discover -s "$CLEAT_ROOT/$directory" -p '*_test.py' || status=1
done
exit "$status"
