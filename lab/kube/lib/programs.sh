# shellcheck shell=bash
# The Go programs of the lab, built from the modules that lab/kube/programs names. Sourced.
#
# What was built is remembered by a key of all that it was built from; Go's own caches make it cheap
# when a key changes.

KUBERNETES_VERSION=v1.34.4
KUBERNETES_NAMES=(
  etcd kube-apiserver kube-controller-manager kube-proxy kube-scheduler kubectl kubelet
)

# PROGRAM MODULE_DIRECTORY PACKAGE
all_programs() {
  local csi=github.com/kubernetes-csi
  cat <<TEXT
kubernetes kubernetes .
csi-provisioner csi $csi/external-provisioner/v6/cmd/csi-provisioner
csi-attacher csi $csi/external-attacher/v4/cmd/csi-attacher
csi-resizer csi $csi/external-resizer/v2/cmd/csi-resizer
csi-snapshotter csi $csi/external-snapshotter/v8/cmd/csi-snapshotter
snapshot-controller csi $csi/external-snapshotter/v8/cmd/snapshot-controller
csi-node-driver-registrar csi ./node-driver-registrar
livenessprobe csi ./livenessprobe
pause csi ./pause
coredns coredns .
TEXT
}

use_go_caches() {
  export GOMODCACHE=$KUBE_CACHE/go-mod GOCACHE=$KUBE_CACHE/go-build
  export GOFLAGS="-mod=readonly -buildvcs=false -modcacherw" GOTOOLCHAIN=local CGO_ENABLED=0
}

# Of everything that a program is made of: its module's files and the compiler. The same in every
# clone of the tree.
program_key() {
  {
    "$GO" version
    (cd "$KUBE_ROOT/programs/$1" && find . -type f | LC_ALL=C sort | xargs sha256sum)
    sha256sum <"$KUBE_ROOT/lib/programs.sh"
  } | sha256sum | cut -d ' ' -f 1
}

linker_flags() {
  local package=k8s.io/component-base/version
  echo -s -w "-X $package.gitVersion=$KUBERNETES_VERSION" "-X $package.gitMajor=1" \
    "-X $package.gitMinor=34" "-X $package.gitTreeState=clean"
}

# Standard input: what the go command says while it works. A line for every hundred packages.
show_progress() {
  awk -v program="$1" -v total="$2" '
    /^go: downloading / { next }
    !/^[a-zA-Z0-9_.\/~-]+$/ { print; fflush(); next }
    ++count % 100 == 0 {
      printf "  %s: %d of at most %d packages\n", program, count, total
      fflush()
    }
  ' >&2
}

build_program() {
  local program=$1 directory=$KUBE_ROOT/programs/$2 package=$3 key=$4 total
  total=$(cd "$directory" && "$GO" list -deps "$package" | wc -l)
  say "build: $program, $total packages"
  (cd "$directory" && "$GO" build -v -trimpath -ldflags "$(linker_flags)" \
    -o "$KUBE_BIN/$program.new" "$package") 2>&1 | show_progress "$program" "$total"
  mv "$KUBE_BIN/$program.new" "$KUBE_BIN/$program"
  echo "$key" >"$KUBE_BIN/$program.key"
}

is_built() { [ -x "$KUBE_BIN/$1" ] && [ "$(cat "$KUBE_BIN/$1.key" 2>/dev/null)" = "$2" ]; }

# The first time is long: some 25 minutes of one core, and 8 GiB below the cache.
build_programs() {
  local program module package name
  local -A keys
  use_go_caches
  GO=$("$LAB_ROOT/tools/go_toolchain")
  mkdir -p "$KUBE_BIN"
  while read -r program module package; do
    [ -n "${keys[$module]:-}" ] || keys[$module]=$(program_key "$module")
    if ! is_built "$program" "${keys[$module]}"; then
      build_program "$program" "$module" "$package" "${keys[$module]}"
    fi
  done < <(all_programs)
  for name in "${KUBERNETES_NAMES[@]}"; do ln -sfn kubernetes "$KUBE_BIN/$name"; done
}
