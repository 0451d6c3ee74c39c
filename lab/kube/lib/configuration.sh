# shellcheck shell=bash
# Configuration files of a node's daemons, written to standard output. Sourced.

# containerd_config ROOT. Root may lack the right to lower oom_score_adj: runc then says only "can't
# get final child's PID from pipe".
containerd_config() {
  cat <<TOML
version = 2
root = "$1"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]
[grpc]
address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "$PAUSE_IMAGE"
disable_apparmor = true
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
options = {SystemdCgroup = false}
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "/run/cni"
TOML
}

# cni_config NODE: a bridge in each node; the routes between them are the node's own.
cni_config() {
  cat <<JSON
{
  "cniVersion": "1.0.0",
  "name": "lab",
  "plugins": [
    {
      "type": "bridge",
      "bridge": "cni0",
      "isGateway": true,
      "hairpinMode": true,
      "ipam": {
        "type": "host-local",
        "ranges": [[{"subnet": "$(pod_network_of "$1")"}]],
        "routes": [{"dst": "0.0.0.0/0"}]
      }
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
JSON
}

# kubelet_config NODE. A detach waits until the node's status no longer names the volume as in use,
# hence the short status period; a lost node is noticed by its lease, renewed four times in its
# duration. protectKernelDefaults: see believed_sysctls in node.sh. Every node
# believes that all memory of the machine is its own: two thirds are set aside.
kubelet_config() {
  local pki=$LAB_DIR/pki
  cat <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: "$pki/ca.crt"}
authorization: {mode: Webhook}
tlsCertFile: "$pki/$1.crt"
tlsPrivateKeyFile: "$pki/$1.key"
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
protectKernelDefaults: true
clusterDomain: cluster.local
clusterDNS: ["$(node_address "$CONTROL_PLANE")"]
resolvConf: ""
podCIDR: "$(pod_network_of "$1")"
maxPods: 60
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
evictionHard: {memory.available: 100Mi, nodefs.available: "1%", imagefs.available: "1%"}
systemReserved: {memory: "$(($(awk '$1 == "MemTotal:" { print $2 }' /proc/meminfo) * 6 / 10))Ki"}
nodeStatusUpdateFrequency: 1s
nodeLeaseDurationSeconds: 16
YAML
}

# kube_proxy_config NODE. Connection tracking belongs to the machine: its sizes stay as they are.
kube_proxy_config() {
  cat <<YAML
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clientConnection: {kubeconfig: "$LAB_DIR/pki/kube-proxy.kubeconfig"}
hostnameOverride: "$1"
clusterCIDR: $POD_NETWORK.0.0/16
detectLocalMode: ClusterCIDR
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
YAML
}

# The control plane's scheduler asks the cleatd beside it where the data of a pod's volumes is; see
# deploy/kubernetes/scheduler. Until Cleat is deployed nobody answers, and it decides without.
kube_scheduler_config() {
  cat <<YAML
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
clientConnection: {kubeconfig: "$LAB_DIR/pki/kube-scheduler.kubeconfig"}
leaderElection: {leaderElect: false}
extenders:
  - urlPrefix: http://$(node_address "$CONTROL_PLANE"):9472/scheduler
    filterVerb: filter
    prioritizeVerb: prioritize
    weight: 5
    nodeCacheCapable: true
    ignorable: true
    httpTimeout: 2s
YAML
}

corefile() {
  local address
  address=$(node_address "$CONTROL_PLANE")
  cat <<TEXT
.:53 {
  bind $address
  errors
  health $address:8080
  kubernetes cluster.local in-addr.arpa {
    kubeconfig $LAB_DIR/pki/coredns.kubeconfig lab
    pods insecure
    ttl 5
  }
  cache 5
}
TEXT
}

hosts_file() {
  local name
  echo "127.0.0.1 localhost"
  for name in $(node_names); do echo "$(node_address "$name") $name"; done
}

write_configuration() {
  local name=$1 dir
  dir=$(node_dir "$name")
  mkdir -p "$dir"/{dev,var/lib/{cleat,containerd,kubelet},var/log}
  containerd_config /var/lib/containerd >"$dir/containerd.toml"
  cni_config "$name" >"$dir/cni.conflist"
  kubelet_config "$name" >"$dir/kubelet.yaml"
  kube_proxy_config "$name" >"$dir/kube-proxy.yaml"
  kube_scheduler_config >"$dir/kube-scheduler.yaml"
  hosts_file >"$dir/hosts"
  corefile >"$dir/Corefile"
}
