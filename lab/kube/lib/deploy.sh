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

deploy_cleat() {
  kubectl apply --filename "$MANIFESTS/00-namespace.yaml" >/dev/null
  make_secret
  kubectl apply --filename "$MANIFESTS" >/dev/null
}

wait_rollouts() {
  local what
  for what in daemonset/cleat-keeper daemonset/cleatd; do
    kubectl rollout status --namespace cleat --timeout 180s "$what" >/dev/null ||
      die "$what: not all pods are ready; see: lab/kubernetes kubectl -n cleat get pods"
  done
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
