# shellcheck shell=bash
# Cleat in the cluster, by the manifests of deploy/kubernetes that everybody uses. Sourced.

MANIFESTS=$LAB_ROOT/deploy/kubernetes

# What kubeadm does for a real cluster: the API server may ask the kubelets, CoreDNS may read.
grant_lab_rights() {
  kubectl apply --filename "$KUBE_ROOT/rights.yaml" >/dev/null
}

# For `kubectl get nodes` to say so; it has no taint, pods run there as well.
label_control_plane() {
  kubectl label --overwrite node "$CONTROL_PLANE" node-role.kubernetes.io/control-plane= >/dev/null
}

make_secret() {
  ! kubectl get --namespace cleat secret cleat >/dev/null 2>&1 || return 0
  kubectl create secret generic cleat --namespace cleat --from-file=secret="$LAB_DIR/secret" \
    >/dev/null
}

# The custom resources of snapshots, as their module brings them.
snapshot_resources() {
  local module=github.com/kubernetes-csi/external-snapshotter/client/v8 version
  version=$(awk -v module=$module '$1 == module { print $2 }' "$KUBE_ROOT/programs/csi/go.mod")
  echo "$KUBE_CACHE/go-mod/$module@$version/config/crd"
}

deploy_cleat() {
  kubectl apply --filename "$MANIFESTS/00-namespace.yaml" >/dev/null
  make_secret
  kubectl apply --filename "$MANIFESTS" >/dev/null
  kubectl apply --kustomize "$(snapshot_resources)" >/dev/null
  kubectl wait --for condition=Established --timeout 60s \
    crd/volumesnapshotclasses.snapshot.storage.k8s.io \
    crd/volumegroupsnapshotclasses.groupsnapshot.storage.k8s.io >/dev/null
  kubectl apply --filename "$MANIFESTS/snapshots" >/dev/null
}

# On every node; a rollout's status can't be asked for where old pods stay until they are deleted.
wait_daemons() {
  kubectl wait --namespace cleat --timeout 300s "daemonset/$1" \
    --for "jsonpath={.status.numberReady}=$LAB_NODES" >/dev/null ||
    die "$1: not all pods are ready; see: lab/kubernetes kubectl -n cleat get pods"
}

# wait_deployment NAMESPACE NAME
wait_deployment() {
  kubectl rollout status --namespace "$1" --timeout 300s "deployment/$2" >/dev/null ||
    die "$2: not all pods are ready; see: lab/kubernetes kubectl -n $1 get pods"
}

wait_deployed() {
  local name
  for name in cleat-keeper cleatd cleat-csi-node; do wait_daemons "$name"; done
  wait_deployment cleat cleat-csi-controller
  wait_deployment kube-system snapshot-controller
}

deploy() {
  local name
  label_control_plane
  deploy_cleat
  wait_deployed
  for name in $(node_names); do create_kube_pool "$name"; done
  for name in $(node_names); do wait_until_all_known "$name"; done
}

create_kube_pool() {
  local name=$1
  [ ! -e "$(node_dir "$name")/var/lib/cleat/pool" ] || return 0
  enter_node "$name" cleat pool create /var/lib/cleat/pool --size "$LAB_POOL_SIZE" >/dev/null ||
    die "$name: no pool; see: lab/kubernetes kubectl -n cleat logs daemonset/cleatd"
}
