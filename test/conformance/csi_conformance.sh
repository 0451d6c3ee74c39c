#!/usr/bin/env bash
# cleat-csi against csi-sanity, the conformance test of Kubernetes for CSI drivers, on a cluster of
# three local nodes: once with file systems, once with raw devices. And api/csi.proto against the
# public files.
# usage: csi_conformance.sh BUILD_DIR
set -euo pipefail
build=$(realpath "${1:?usage: csi_conformance.sh BUILD_DIR}")
here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
# shellcheck source=tools/lib.sh
source "$here/../../tools/lib.sh"

CSI_TEST=v5.6.0
SPECS=(v1.12.0 v1.13.0)
work=$(mktemp -d /var/tmp/cleat-csi.XXXXXX)
lab=("$CLEAT_ROOT/lab/cluster" --dir "$work/lab" --build "$build")
cache=${XDG_CACHE_HOME:-/var/cache}/cleat/csi-test

cleanup() {
  local status=$?
  if [ $status -ne 0 ]; then
    tail -n 40 "$work"/*.log "$work"/lab/nodes/cassandra1/cleatd.log >&2
  fi
  "${lab[@]}" down
  rm -rf "$work"
}
trap cleanup EXIT

step() { echo "csi conformance: $*"; }

in_node() { "${lab[@]}" exec cassandra1 -- "$@"; }

# Other people's modules stay outside the tree; a second run finds the program made.
build_sanity() {
  sanity=$cache/csi-sanity-$CSI_TEST
  [ -x "$sanity" ] && return
  step "building csi-sanity $CSI_TEST from its Go module"
  mkdir -p "$cache"
  GOBIN=$work/go GOTOOLCHAIN=local CGO_ENABLED=0 \
    "$go" install "github.com/kubernetes-csi/csi-test/v5/cmd/csi-sanity@$CSI_TEST"
  mv "$work/go/csi-sanity" "$sanity"
}

check_wire() {
  local version directory files=()
  for version in "${SPECS[@]}"; do
    directory=$(cd / && "$go" mod download -json \
      "github.com/container-storage-interface/spec@$version" | jq -r .Dir)
    files+=("$directory/csi.proto")
  done
  python3 -B "$here/csi_wire.py" "$CLEAT_ROOT/api/csi.proto" "${files[@]}"
}

start_plugin() {
  "${lab[@]}" up --nodes 3 --pool-size 6Gi
  in_node "$build/bin/cleat-csi" --endpoint unix:///run/csi/csi.sock --volumes-max 6 \
    >"$work/cleat-csi.log" 2>&1 &
  local try
  for ((try = 0; try < 100; try++)); do
    if in_node test -S /run/csi/csi.sock; then return 0; fi
    sleep 0.1
  done
  echo "cleat-csi does not serve within 10 s" >&2
  return 1
}

run_sanity() {
  local kind=$1
  step "csi-sanity $CSI_TEST, $kind volumes with two replicas"
  printf 'repl: "2"\n' >"$work/parameters.yaml"
  printf 'priority_io: high\n' >"$work/mutable.yaml"
  in_node "$sanity" --csi.endpoint unix:///run/csi/csi.sock --csi.testvolumeaccesstype "$kind" \
    --csi.mountdir /run/csi-mount --csi.stagingdir /run/csi-staging \
    --csi.testvolumesize $((1 << 30)) --csi.testvolumeexpandsize $((2 << 30)) \
    --csi.testnodevolumeattachlimit \
    --csi.testvolumeparameters "$work/parameters.yaml" \
    --csi.testvolumemutableparameters "$work/mutable.yaml" \
    --ginkgo.no-color --ginkgo.junit-report "$work/$kind.xml" >"$work/sanity-$kind.log" 2>&1 ||
    step "csi-sanity ended with status $?"
  python3 -B "$here/csi_sanity_report.py" "$work/$kind.xml" "$here/csi_sanity_skips"
}

# Every volume, snapshot, mount and device that the tests made is gone.
check_nothing_left() {
  step "nothing is left behind"
  [ "$(in_node "$build/bin/cleat" -j volume list --all | jq '.volumes | length')" = 0 ]
  ! in_node grep -E ' /run/csi-(mount|staging)' /proc/self/mountinfo
}

"$CLEAT_ROOT/tools/deps.sh" base build lab
go=$("$CLEAT_ROOT/tools/go_toolchain")
check_wire
build_sanity
start_plugin
run_sanity mount
run_sanity block
check_nothing_left
