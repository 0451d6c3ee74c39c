#!/usr/bin/env bash
# pid 1 of a node of the Kubernetes lab: makes the node's own view of the machine, then runs its
# daemons and restarts those that end. It is killed, never stopped in order.
# usage: node.sh LAB_DIR NAME
set -euo pipefail
# shellcheck source=lab/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=lab/kube/lib/settings.sh
source "$LAB_ROOT/lab/kube/lib/settings.sh"
# shellcheck source=lab/kube/lib/images.sh
source "$KUBE_ROOT/lib/images.sh"

LAB_DIR=$1
NAME=$2
# shellcheck source=/dev/null
source "$LAB_DIR/settings"
DIR=$(node_dir "$NAME")
PKI=$LAB_DIR/pki
RESTART_DELAY=1

# The hierarchies of the machine, from the node's own directory in each downwards.
cgroup_mounts() {
  local controllers directory
  mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
  while IFS=: read -r _ controllers _; do
    directory=/sys/fs/cgroup/${controllers#name=}
    case $controllers in
      '') continue ;;
      name=*) controllers=none,$controllers ;;
    esac
    mkdir "$directory"
    mount -t cgroup -o "$controllers" cgroup "$directory"
  done </proc/self/cgroup
}

# What the kubelet would set belongs to the whole machine: here it reads that all is as it wants,
# and the machine stays as it was.
believed_sysctls() {
  local name value
  mkdir /run/sysctls
  while read -r name value; do
    echo "$value" >"/run/sysctls/${name//\//.}"
    mount --bind "/run/sysctls/${name//\//.}" "/proc/sys/$name"
  done <<TEXT
vm/overcommit_memory 1
vm/panic_on_oom 0
kernel/panic 10
kernel/panic_on_oops 1
kernel/keys/root_maxkeys 1000000
kernel/keys/root_maxbytes 25000000
TEXT
}

# Volumes are mounted by pods for other pods: mounts propagate inside the node.
own_mounts() {
  local path
  mount --make-rprivate /
  mount -t sysfs sysfs /sys
  cgroup_mounts
  mount -t fusectl fusectl /sys/fs/fuse/connections
  mount -t tmpfs -o mode=755 tmpfs /run
  mkdir -p /run/lock /run/cleat /run/cni
  cp "$DIR/cni.conflist" /run/cni/
  for path in /var/lib /var/log; do mount --bind "$DIR$path" "$path"; done
  mount --bind "$DIR/dev" /dev/cleat
  mount --bind "$DIR/hosts" /etc/hosts
  mount -t proc proc /proc # the last of the machine's: pid files are written with the host's
  believed_sysctls
  mount --make-rshared /
}

own_network() {
  local other
  ip link set lo up
  wait_for 10 test -e /sys/class/net/eth0 || die "$NAME: no link to the cluster after 10 s"
  ip address add "$(node_address "$NAME")/24" dev eth0
  ip link set eth0 up
  ip route add default via "$NETWORK.1"
  for other in $(node_names); do
    [ "$other" = "$NAME" ] ||
      ip route add "$(pod_network_of "$other")" via "$(node_address "$other")"
  done
  sysctl -qw net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=1
}

# supervise NAME COMMAND…: runs it in the background, again whenever it ends.
supervise() {
  local name=$1 status
  shift
  while :; do
    status=0
    "$@" >>"$DIR/$name.log" 2>&1 || status=$?
    echo "$(date +%T) $name ended with status $status"
    sleep $RESTART_DELAY
  done &
}

# Of Kubernetes' own etcd: what it loses at a power cut goes with the lab.
run_etcd() {
  supervise etcd etcd --name lab --data-dir "$DIR/etcd" --unsafe-no-fsync \
    --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
    --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 \
    --initial-cluster lab=http://127.0.0.1:2380
}

run_api_server() {
  supervise kube-apiserver kube-apiserver \
    --advertise-address "$(node_address "$NAME")" --secure-port 6443 \
    --etcd-servers http://127.0.0.1:2379 \
    --client-ca-file "$PKI/ca.crt" \
    --tls-cert-file "$PKI/kube-apiserver.crt" --tls-private-key-file "$PKI/kube-apiserver.key" \
    --kubelet-certificate-authority "$PKI/ca.crt" \
    --kubelet-client-certificate "$PKI/kube-apiserver.crt" \
    --kubelet-client-key "$PKI/kube-apiserver.key" \
    --kubelet-preferred-address-types InternalIP \
    --service-account-issuer https://kubernetes.default.svc.cluster.local \
    --service-account-key-file "$PKI/service-accounts.pub" \
    --service-account-signing-key-file "$PKI/service-accounts.key" \
    --service-cluster-ip-range "$SERVICE_NETWORK.0.0/16" \
    --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction --allow-privileged
}

run_controllers() {
  supervise kube-controller-manager kube-controller-manager \
    --kubeconfig "$PKI/kube-controller-manager.kubeconfig" --use-service-account-credentials \
    --service-account-private-key-file "$PKI/service-accounts.key" --root-ca-file "$PKI/ca.crt" \
    --cluster-signing-cert-file "$PKI/ca.crt" --cluster-signing-key-file "$PKI/ca.key" \
    --cluster-cidr "$POD_NETWORK.0.0/16" --allocate-node-cidrs=false \
    --leader-elect=false --node-monitor-period=2s --node-monitor-grace-period=16s
  supervise kube-scheduler kube-scheduler --config "$DIR/kube-scheduler.yaml"
}

run_node_daemons() {
  supervise kubelet kubelet --config "$DIR/kubelet.yaml" --kubeconfig "$PKI/$NAME.kubeconfig" \
    --node-ip "$(node_address "$NAME")" --hostname-override "$NAME"
  supervise kube-proxy kube-proxy --config "$DIR/kube-proxy.yaml"
}

hostname "$NAME"
rm -rf "${DIR:?}/dev"
mkdir "$DIR/dev"
write_pid_file "$DIR/pid"
own_mounts
own_network
export PATH=$KUBE_BIN:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
unset "${!CLEAT_@}"
supervise containerd containerd --config "$DIR/containerd.toml"
if is_control_plane "$NAME"; then
  run_etcd
  run_api_server
  run_controllers
  supervise coredns coredns -conf "$DIR/Corefile"
fi
wait_for 60 containerd_answers || die "$NAME: containerd does not answer; see $DIR/containerd.log"
import_images "$DIR/images" "$KUBE_IMAGES"/*.tar "$LAB_DIR"/images/*.tar >>"$DIR/images.log" 2>&1 ||
  die "$NAME: an image can't be imported; see $DIR/images.log"
run_node_daemons
trap : CHLD
while :; do wait -n || sleep 1; done
