# shellcheck shell=bash
# Cleat in the cluster, by the manifests of deploy/kubernetes that everybody uses. Sourced.

MANIFESTS=$LAB_ROOT/deploy/kubernetes

# What kubeadm does for a real cluster: the API server may ask the kubelets, CoreDNS may read.
grant_lab_rights() {
  kubectl apply --filename "$KUBE_ROOT/rights.yaml" >/dev/null
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

# wait_rollout NAMESPACE WHAT
wait_rollout() {
  kubectl rollout status --namespace "$1" --timeout 180s "$2" >/dev/null ||
    die "$2: not all pods are ready; see: lab/kubernetes kubectl -n $1 get pods"
}

wait_rollouts() {
  local what
  for what in daemonset/{cleat-keeper,cleatd,cleat-csi-node} deployment/cleat-csi-controller; do
    wait_rollout cleat "$what"
  done
  wait_rollout kube-system deployment/snapshot-controller
}

deploy() {
  local name
  grant_lab_rights
  deploy_cleat
  wait_rollouts
  for name in $(node_names); do create_kube_pool "$name"; done
  for name in $(node_names); do wait_until_all_known "$name"; done
}

create_kube_pool() {
  local name=$1
  [ ! -e "$(node_dir "$name")/var/lib/cleat/pool" ] || return 0
  enter_node "$name" cleat pool create /var/lib/cleat/pool --size "$LAB_POOL_SIZE" >/dev/null ||
    die "$name: no pool; see: lab/kubernetes kubectl -n cleat logs daemonset/cleatd"
}
