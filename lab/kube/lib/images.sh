# shellcheck shell=bash
# Container images without a registry: archives made here, imported on each node. Sourced.
#
# Other people's programs carry the names that a cluster with a registry pulls them by, so that
# deploy/kubernetes is applied as it is. NAME.tar has NAME.id beside it, the id of the image.

CLEAT_IMAGE=cleat.dev/cleat:dev
BASE_PACKAGES=ca-certificates,e2fsprogs,etcd-server,mount,procps,util-linux,xfsprogs
PAUSE_IMAGE=registry.k8s.io/pause:3.10
CLEAT_PROGRAMS=(cleatd cleat-keeper cleat cleat-csi)

# PROGRAM IMAGE
program_images() {
  local registry=registry.k8s.io/sig-storage
  cat <<TEXT
pause $PAUSE_IMAGE
csi-provisioner $registry/csi-provisioner:v6.3.0
csi-attacher $registry/csi-attacher:v4.12.0
csi-resizer $registry/csi-resizer:v2.2.0
csi-snapshotter $registry/csi-snapshotter:v8.6.0
snapshot-controller $registry/snapshot-controller:v8.6.0
csi-node-driver-registrar $registry/csi-node-driver-registrar:v2.15.0
livenessprobe $registry/livenessprobe:v2.17.0
TEXT
}

# pack NAME.tar IMAGE LAYER… [--entrypoint PROGRAM]
pack() {
  "$KUBE_ROOT/pack_image" "$@" >"${1%.tar}.id.new"
  mv "${1%.tar}.id.new" "${1%.tar}.id"
}

# Nothing but the program, which is linked statically.
pack_program() {
  local program=$1 image=$2 archive=$KUBE_IMAGES/$1.tar layer
  [ ! "${archive%.tar}.id" -nt "$KUBE_BIN/$program" ] || return 0
  layer=$(mktemp -d "$KUBE_IMAGES/layer.XXXXXX")
  cp "$KUBE_BIN/$program" "$layer/"
  pack "$archive" "$image" "$layer" --entrypoint "/$program"
  rm -rf "$layer"
}

# A small Debian with what cleatd and its people need beside Cleat's own programs.
make_base() {
  local option
  local -a slim
  [ "$(cat "$KUBE_BASE/packages" 2>/dev/null)" != "$BASE_PACKAGES" ] || return 0
  for option in doc man locale; do
    slim+=("--dpkgopt=path-exclude=/usr/share/$option/*")
  done
  say "images: a Debian for Cleat's image (some minutes)"
  rm -rf "$KUBE_BASE"
  mkdir -p "$KUBE_BASE"
  mmdebstrap --quiet --variant=essential "${slim[@]}" --include="$BASE_PACKAGES" bookworm \
    "$KUBE_BASE/rootfs.tar"
  tar -tf "$KUBE_BASE/rootfs.tar" | sed 's|.*/||' >"$KUBE_BASE/files"
  pack "$KUBE_IMAGES/cleat-base.tar" cleat.dev/base:dev "$KUBE_BASE/rootfs.tar"
  echo "$BASE_PACKAGES" >"$KUBE_BASE/packages"
}

# Libraries of programs, as far as the base has none of that name.
missing_libraries() {
  ldd "$@" | awk '$2 == "=>" { print $3 }' | sort -u | while read -r library; do
    grep -qxF "$(basename "$library")" "$KUBE_BASE/files" || echo "$library"
  done
}

# Each lab has its own: it holds what LAB_BUILD holds now.
pack_cleat() {
  local layer=$LAB_DIR/images/layer library program
  local -a programs=("${CLEAT_PROGRAMS[@]/#/$LAB_BUILD/bin/}")
  rm -rf "$LAB_DIR/images"
  mkdir -p "$layer/usr/local/bin"
  for program in "${programs[@]}"; do
    strip --strip-debug -o "$layer/usr/local/bin/$(basename "$program")" "$program"
  done
  missing_libraries "${programs[@]}" | while read -r library; do
    # Where the loader looks without a cache; /lib is a link to it.
    install -D --mode 644 --target-directory "$layer/usr/lib/$(basename "${library%/*}")" "$library"
  done
  pack "$LAB_DIR/images/cleat.tar" "$CLEAT_IMAGE" "$KUBE_BASE/rootfs.tar" "$layer"
  rm -rf "$layer"
}

# ---- on a node ----------------------------------------------------------------------------------

containerd_answers() { ctr version >/dev/null 2>&1; }

# Imports what the list does not name with its present id, and writes it down.
# import_images LIST ARCHIVE…
import_images() {
  local list=$1 archive line
  shift
  for archive in "$@"; do
    line="$(basename "$archive") $(cat "${archive%.tar}.id")" || return 1
    ! grep -qxF "$line" "$list" 2>/dev/null || continue
    ctr --namespace k8s.io images import "$archive" || return 1
    echo "$line" >>"$list"
  done
}

# ---- a store to start from ----------------------------------------------------------------------

# Importing half a gigabyte three times is most of the time of an `up`. It is done once, into a
# store that each new node gets a copy of. A store without an image is only slower: nodes import.
store_key() { cat "$KUBE_IMAGES"/*.id "$KUBE_ROOT/lib/images.sh" | sha256sum | cut -d ' ' -f 1; }

make_store() {
  local key store=$KUBE_IMAGES/store
  key=$(store_key)
  [ "$(cat "$store/key" 2>/dev/null)" != "$key" ] || return 0
  say "images: unpacking them once for all nodes"
  rm -rf "$store" "$store.new"
  mkdir -p "$store.new/containerd"
  unshare --mount --pid --net --fork --kill-child --mount-proc \
    bash "$KUBE_ROOT/fill_store.sh" "$store.new" >"$KUBE_IMAGES/store.log" 2>&1 ||
    die "no store of images; see $KUBE_IMAGES/store.log"
  echo "$key" >"$store.new/key"
  mv "$store.new" "$store"
}

# Layers and contents are never written to again, so that hard links do; databases are.
copy_store() {
  local to=$1 database
  cp --archive --link "$KUBE_IMAGES/store/containerd/." "$to" 2>/dev/null ||
    cp --archive "$KUBE_IMAGES/store/containerd/." "$to"
  find "$to" -name '*.db' -links +1 | while read -r database; do
    cp --archive "$database" "$database.own"
    mv "$database.own" "$database"
  done
}

seed_images() {
  local dir
  dir=$(node_dir "$1")
  [ ! -e "$dir/images" ] || return 0
  rm -rf "$dir/var/lib/containerd"
  mkdir -p "$dir/var/lib/containerd"
  copy_store "$dir/var/lib/containerd"
  cp "$KUBE_IMAGES/store/images" "$dir/images"
}

make_images() {
  local program image
  mkdir -p "$KUBE_IMAGES"
  while read -r program image; do pack_program "$program" "$image"; done < <(program_images)
  make_base
  make_store
}
