# shellcheck shell=bash disable=SC2034 # names are used by those who source this
# What all parts of the Kubernetes lab share, on top of lab/lib/common.sh. Sourced after it.
#
# Layout of the lab's directory, beside what common.sh names:
#   cgroups           our directories in the machine's cgroup hierarchies, one a line
#   pki/              certificates and kubeconfigs of the cluster
#   nodes/NAME/       var/lib and var/log of the node, its configuration and the logs of its daemons
# Below the cache: go-mod, go-build (Go's own), bin, images, base (of Cleat's image).

KUBE_ROOT=$LAB_ROOT/lab/kube
KUBE_CACHE=${XDG_CACHE_HOME:-/var/cache}/cleat/kubernetes
KUBE_BIN=$KUBE_CACHE/bin
KUBE_IMAGES=$KUBE_CACHE/images
KUBE_BASE=$KUBE_CACHE/base
CONTROL_PLANE=cassandra1
SERVICE_NETWORK=10.96
POD_NETWORK=10.244
# The nodes' own; all else of the machine they share. Only this needs a mount point made.
MOUNT_POINTS=(/dev/cleat)

api_server() { echo "https://$(node_address "$CONTROL_PLANE"):6443"; }
pod_network_of() { echo "$POD_NETWORK.$(node_index "$1").0/24"; }
is_control_plane() { [ "$1" = "$CONTROL_PLANE" ]; }
