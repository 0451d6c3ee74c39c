# shellcheck shell=bash
# What happens to the cluster and to a node. Sourced by lab/cluster, after common.sh and devices.sh.

# Runs a command in the outer network, with the machine's own files and processes.
in_outer_network() { nsenter -t "$(outer_pid)" -n "$@"; }

# ---- the cluster --------------------------------------------------------------------------------

# Mount points must exist on the machine; another lab may need the same ones, so one lock for all.
with_mount_points_locked() {
  (
    flock 8
    "$@"
  ) 8>/var/lock/cleat-lab-mount-points
}

remove_mount_points() {
  local path
  for path in "${MOUNT_POINTS[@]}"; do
    if [ -d "$path" ] && ! grep -qsF " $path " /proc/[0-9]*/mountinfo; then
      rmdir --ignore-fail-on-non-empty "$path"
    fi
  done
}

start_outer() {
  with_mount_points_locked mkdir -p "${MOUNT_POINTS[@]}"
  rm -f "$LAB_DIR/outer.ready"
  setsid unshare --net --mount --pid --uts --ipc --fork --kill-child \
    bash "$LAB_LIB/outer.sh" "$LAB_DIR" >"$LAB_DIR/outer.log" 2>&1 </dev/null {LOCK}>&- &
  wait_for 10 test -e "$LAB_DIR/outer.ready" || {
    cat "$LAB_DIR/outer.log" >&2
    die "the cluster's namespaces did not come up"
  }
}

# Ends everything of the cluster, whatever state it is in. Files stay.
take_down() {
  local name uses pid
  # shellcheck source=/dev/null
  if [ -s "$LAB_DIR/settings" ]; then source "$LAB_DIR/settings"; fi
  uses=$(for name in $(node_names); do uses_of "$name"; done)
  local -a devices
  mapfile -t devices < <(for name in $(node_names); do
    if pid=$(node_pid "$name"); then own_fuse_devices "$pid"; fi
  done)
  if pid=$(outer_pid); then
    kill -KILL "$pid"
    abort_fuse "${devices[@]}"
    wait_for 30 is_gone "$LAB_DIR/outer.pid" || die "process $pid of the lab does not end"
  fi
  detach_loops <<<"$uses"
  rm -f "$LAB_DIR"/outer.{pid,ready} "$LAB_DIR"/nodes/*/{pid,isolated}
  with_mount_points_locked remove_mount_points
}

remove_files() { rm -rf "$LAB_DIR"; }

# ---- one node -----------------------------------------------------------------------------------

node_state() {
  if ! node_pid "$1" >/dev/null; then
    echo down
  elif [ -e "$(node_dir "$1")/isolated" ]; then
    echo isolated
  else
    echo up
  fi
}

# "cassandra1=10.91.0.11", … as TOML strings, the way cleatd's option peers takes them.
peers() {
  local name
  for name in $(node_names); do printf '"%s=%s", ' "$name" "$(node_address "$name")"; done
}

configure_node() {
  local name=$1 dir other
  dir=$(node_dir "$name")
  mkdir -p "$dir"/{etc,lib,dev}
  (umask 077 && cp "$LAB_DIR/secret" "$dir/etc/secret")
  cat >"$dir/etc/cleatd.toml" <<TOML
cluster = "lab"
node = "$name"
address = "$(node_address "$name")"
etcd = "embedded"
peers = [$(peers)]
secret_file = "/etc/cleat/secret"
TOML
  echo "127.0.0.1 localhost" >"$dir/hosts"
  for other in $(node_names); do echo "$(node_address "$other") $other" >>"$dir/hosts"; done
}

# Of an earlier life: the kernel takes it away in its own time, with the last of its sockets.
remove_link() {
  local link
  link=$(node_link "$1")
  if in_outer_network ip link show "$link" >/dev/null 2>&1; then
    in_outer_network ip link delete "$link"
  fi
}

# Puts a node that was just started on the cluster's bridge.
connect_node() {
  local name=$1 dir pid
  dir=$(node_dir "$name")
  wait_for 10 node_pid "$name" >/dev/null || die "$name did not start: see $dir/node.log"
  pid=$(node_pid "$name")
  remove_link "$name"
  in_outer_network ip link add "$(node_link "$name")" type veth peer name eth0 netns "$pid"
  in_outer_network ip link set "$(node_link "$name")" master lab0 up
  if [ -e "$dir/isolated" ]; then cut_link "$name"; fi
}

# Makes the node's namespaces inside the cluster's and connects it. Its daemons start by themselves.
start_node() {
  local name=$1 dir
  dir=$(node_dir "$name")
  nsenter -t "$(outer_pid)" -n -m -p -u -i \
    setsid unshare --net --mount --uts --ipc --pid --fork --kill-child \
    bash "$LAB_LIB/node.sh" "$LAB_DIR" "$name" >>"$dir/node.log" 2>&1 </dev/null {LOCK}>&- &
  connect_node "$name"
}

# Runs a command in all of a node's namespaces, in the caller's directory where the node has it.
enter_node() {
  local name=$1 pid
  shift
  pid=$(node_pid "$name") || die "$name is not running"
  # shellcheck disable=SC2016 # expanded by the inner shell
  PATH=$LAB_BUILD/bin:$PATH nsenter -t "$pid" -n -m -p -u -i -- \
    bash -c 'cd "$0" 2>/dev/null || cd /; exec "$@"' "$PWD" "$@"
}

# Quiet and bounded, for waiting. Without etcd the answer takes some seconds.
node_answers() {
  timeout 15 nsenter -t "$(node_pid "$1")" -n -m -p -u -i -- "$LAB_BUILD/bin/cleat" status \
    >/dev/null 2>&1
}

answers_or_is_dead() { ! node_pid "$1" >/dev/null || node_answers "$1"; }

wait_answering() {
  wait_for 60 answers_or_is_dead "$1" ||
    die "$1: no answer within 60 s; see $(node_dir "$1")/cleatd.log"
  node_pid "$1" >/dev/null || die "$1 died: $(tail -n 1 "$(node_dir "$1")/node.log")"
}

# A node serves before it has joined: everybody must see everybody online.
wait_until_all_known() {
  local name=$1 other deadline=$((SECONDS + 60))
  for other in $(node_names); do
    until enter_node "$name" cleat node list 2>/dev/null | grep " $other .*online" >/dev/null; do
      [ "$SECONDS" -lt "$deadline" ] || die "$name does not see $other online"
      sleep 0.2
    done
  done
}

create_pool() {
  local name=$1
  [ ! -e "$(node_dir "$name")/lib/pool" ] || return 0
  enter_node "$name" cleat pool create /var/lib/cleat/pool --size "$LAB_POOL_SIZE" >/dev/null ||
    die "$name: no pool; see $(node_dir "$name")/cleatd.log"
}

# "LOOP SEQUENCE" of each loop device of a node, alive or dead.
uses_of() {
  local pid
  if pid=$(node_pid "$1"); then
    loops_of_living "$1" "$pid"
  else
    loops_of_dead "$1"
  fi
}

# All at once, as a power cut: the kernel ends every process of the node and drops its mounts; loop
# devices and FUSE connections are taken away after it. The pool file and /var/lib/cleat stay.
crash_node() {
  local name=$1 pid uses
  local -a devices
  pid=$(node_pid "$name") || die "$name is not running"
  uses=$(uses_of "$name")
  mapfile -t devices < <(own_fuse_devices "$pid")
  kill -KILL "$pid"
  abort_fuse "${devices[@]}"
  wait_for 30 is_gone "$(node_dir "$name")/pid" || die "process $pid of $name does not end"
  detach_loops <<<"$uses"
  say "$name crashed"
}

stop_node() {
  local name=$1 pid uses
  pid=$(node_pid "$name")
  uses=$(uses_of "$name")
  enter_node "$name" bash "$LAB_LIB/release_volumes.sh"
  kill -TERM "$pid"
  wait_for 90 is_gone "$(node_dir "$name")/pid" || die "$name does not end; see its logs"
  detach_loops <<<"$uses"
  say "$name stopped"
}

# Of a node that is down there is no port: it gets the state when it starts.
set_port_state() {
  ! node_pid "$1" >/dev/null || in_outer_network bridge link set dev "$(node_link "$1")" state "$2"
}

# The port drops everything while the node's own interface stays up: nobody is told.
cut_link() {
  touch "$(node_dir "$1")/isolated"
  set_port_state "$1" 0
}

join_link() {
  rm -f "$(node_dir "$1")/isolated"
  set_port_state "$1" 3
}
