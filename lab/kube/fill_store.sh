#!/usr/bin/env bash
# Imports all images of the cache into a containerd store of their own, in namespaces of its own.
# usage: fill_store.sh STORE
set -euo pipefail
# shellcheck source=lab/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=lab/kube/lib/settings.sh
source "$LAB_ROOT/lab/kube/lib/settings.sh"
# shellcheck source=lab/kube/lib/images.sh
source "$KUBE_ROOT/lib/images.sh"
# shellcheck source=lab/kube/lib/configuration.sh
source "$KUBE_ROOT/lib/configuration.sh"

STORE=$1
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/containerd
containerd_config "$STORE/containerd" >/run/containerd.toml
containerd --config /run/containerd.toml &
wait_for 30 containerd_answers || die "containerd does not answer"
import_images "$STORE/images" "$KUBE_IMAGES"/*.tar
# In order: a database that is copied must be complete.
kill -TERM $!
wait $!
# Each containerd makes its own.
rm "$STORE/containerd/io.containerd.grpc.v1.introspection/uuid"
