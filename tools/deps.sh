#!/usr/bin/env bash
# The one list of Debian 12 packages this repository needs, and their installation.
# usage: tools/deps.sh [GROUP…]      groups: base build test lab demo, installed when none is named;
#                                    go kubernetes
set -euo pipefail
# shellcheck source=tools/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

declare -A packages=(
  [base]="ca-certificates git python3 procps util-linux iproute2"
  [build]="
    g++ cmake ninja-build ccache pkg-config
    libabsl-dev libcli11-dev libcpp-httplib-dev libexpected-dev libfmt-dev libgrpc++-dev libisal-dev
    libprotobuf-dev libspdlog-dev libssl-dev libtomlplusplus-dev liburing-dev libxxhash-dev
    nlohmann-json3-dev prometheus-cpp-dev protobuf-compiler protobuf-compiler-grpc
    libbenchmark-dev libgmock-dev libgtest-dev libnbd-dev librapidcheck-dev"
  [test]="clang-format-19 clang-tidy-19 shellcheck spin fio nbdkit libnbd-bin fuse3 strace"
  [lab]="etcd-server etcd-client e2fsprogs xfsprogs fio sysstat jq"
  [demo]="openjdk-17-jre-headless maven python3-pip python3-venv"
  [go]="golang-1.19-go"
  [kubernetes]="
    containerd runc containernetworking-plugins conntrack iptables ethtool socat openssl curl
    mmdebstrap"
)
default_groups=(base build test lab demo)
all_groups=("${default_groups[@]}" go kubernetes)

packages_of() {
  local group
  for group in "$@"; do
    # shellcheck disable=SC2086 # a list of words
    printf '%s\n' ${packages[$group]}
  done | sort -u
}

check_groups() {
  local group
  for group in "$@"; do
    [[ " ${all_groups[*]} " == *" $group "* ]] ||
      die_usage "unknown package group '$group'; groups are: ${all_groups[*]}"
  done
}

missing_of() {
  local installed
  installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' 2>/dev/null |
    awk '$2 == "installed" { print $1 }' | sort -u)
  comm -23 <(printf '%s\n' "$@") <(printf '%s\n' "$installed")
}

# Servers among the packages (etcd) are run by the lab, never by the machine: no service starts.
forbid_services() {
  local policy=/usr/sbin/policy-rc.d
  [ -e "$policy" ] && return 0
  trap 'rm -f /usr/sbin/policy-rc.d' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
}

install_missing() {
  [ "$(id -u)" = 0 ] || die "packages are missing: $*. Run as root: ./dev deps"
  say "deps: installing $# packages: $*"
  forbid_services
  apt-get update -q
  DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
}

main() {
  [ $# -gt 0 ] || set -- "${default_groups[@]}"
  check_groups "$@"
  local wanted missing
  mapfile -t wanted < <(packages_of "$@")
  mapfile -t missing < <(missing_of "${wanted[@]}")
  [ ${#missing[@]} -eq 0 ] || install_missing "${missing[@]}"
}

main "$@"
