# shellcheck shell=bash
# What happens to the lab and to a node of it, on top of lab/lib/nodes.sh. Sourced after it.

# The node inside the cluster's namespaces and its own cgroups. Its daemons start by themselves.
start_kube_node() {
  local name=$1 dir
  dir=$(node_dir "$name")
  remove_cgroups "$name"
  (
    join_cgroups "$name"
    exec nsenter -t "$(outer_pid)" -n -m -p -u -i \
      setsid unshare --net --mount --uts --ipc --pid --cgroup --fork --kill-child \
      bash "$KUBE_ROOT/node.sh" "$LAB_DIR" "$name"
  ) >>"$dir/node.log" 2>&1 </dev/null {LOCK}>&- &
  disown # its end is no news of this shell's
  connect_node "$name"
}

# Runs a command in all of a node's namespaces and in its cgroups, in the caller's directory where
# the node has it. What it starts ends with the node.
enter_kube_node() {
  local name=$1 pid
  shift
  pid=$(node_pid "$name") || die "$name is not running; run: lab/kubernetes start $name"
  join_cgroups "$name"
  # shellcheck disable=SC2016 # expanded by the inner shell
  PATH=$LAB_BUILD/bin:$KUBE_BIN:$PATH exec nsenter -t "$pid" -n -m -p -u -i -C -- \
    bash -c 'cd "$0" 2>/dev/null || cd /; exec "$@"' "$PWD" "$@"
}

# As the administrator, from the control plane's network; files are the caller's.
kubectl() {
  local pid
  pid=$(node_pid "$CONTROL_PLANE") || die "$CONTROL_PLANE is down, and with it the API server"
  nsenter -t "$pid" -n "$KUBE_BIN/kubectl" --kubeconfig "$LAB_DIR/pki/admin.kubeconfig" "$@"
}

crash_kube_node() {
  crash_node "$1"
  remove_cgroups "$1"
}

take_kube_down() {
  thaw_lab
  take_down
  remove_cgroups
  rm -f "$LAB_DIR/cgroups"
}

# ---- waiting ------------------------------------------------------------------------------------

api_answers() { kubectl get --raw /readyz >/dev/null 2>&1; }

wait_api() {
  wait_for 120 api_answers ||
    die "the API server does not answer; see $(node_dir "$CONTROL_PLANE")/kube-apiserver.log"
}

# What the API server says of a node that was crashed may be old: its kubelet is asked first.
kubelet_answers() {
  nsenter -t "$(node_pid "$1")" -n curl --silent --max-time 2 http://127.0.0.1:10248/healthz \
    >/dev/null 2>&1
}

is_ready() {
  kubelet_answers "$1" && [ "$(kubectl get node "$1" --output \
    'jsonpath={.status.conditions[?(@.type=="Ready")].status}' 2>/dev/null)" = True ]
}

ready_or_dead() { ! node_pid "$1" >/dev/null || is_ready "$1"; }

wait_ready() {
  wait_for 180 ready_or_dead "$1" || die "$1 is not Ready after 180 s; see $(node_dir "$1")/*.log"
  node_pid "$1" >/dev/null || die "$1 died: $(tail -n 1 "$(node_dir "$1")/node.log")"
}
