# shellcheck shell=bash
# A node's cgroups: a directory in each of the machine's hierarchies (version 1), below the one that
# the lab was started in. A cgroup namespace makes them the root of what the node sees. Sourced.

# Where this process is in each hierarchy.
current_cgroups() {
  local controllers path directory
  while IFS=: read -r _ controllers path; do
    controllers=${controllers#name=}
    directory=/sys/fs/cgroup/${controllers:-unified}
    [ ! -d "$directory" ] || echo "$directory${path%/}"
  done </proc/self/cgroup
}

check_cgroups() {
  [ -e /sys/fs/cgroup/memory/cgroup.procs ] ||
    die "the lab needs cgroups of version 1 below /sys/fs/cgroup; boot Linux with" \
      "systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=1"
}

# A cpuset is born without CPUs and memory, and then takes no process.
make_cgroup() {
  local file
  mkdir -p "$1"
  for file in cpuset.cpus cpuset.mems; do
    if [ -e "$1/$file" ]; then cat "$(dirname "$1")/$file" >"$1/$file"; fi
  done
}

# Written down first: what a killed `up` made is found by the next `down`.
make_lab_cgroups() {
  local name directory
  name=cleat-$(stat -c %i "$LAB_DIR")
  current_cgroups | while read -r directory; do echo "$directory/$name"; done >"$LAB_DIR/cgroups"
  while read -r directory; do make_cgroup "$directory"; done <"$LAB_DIR/cgroups"
}

# Moves this shell, and what it starts, into the node's cgroups.
join_cgroups() {
  local directory
  while read -r directory; do
    make_cgroup "$directory/$1"
    echo "$BASHPID" >"$directory/$1/cgroup.procs"
  done <"$LAB_DIR/cgroups"
}

# What was frozen does not die before it is thawed.
thaw_lab() {
  local directory state
  [ -e "$LAB_DIR/cgroups" ] || return 0
  while read -r directory; do
    for state in "$directory"{,/*}/freezer.state; do
      if [ -e "$state" ]; then echo THAWED >"$state"; fi
    done
  done <"$LAB_DIR/cgroups"
}

remove_cgroup() {
  [ -d "$1" ] || return 0
  find "$1" -depth -type d -exec rmdir {} + 2>/dev/null || return 1
}

# Of one node, or of the whole lab. Processes that were killed leave their cgroup a moment later.
remove_cgroups() {
  local directory
  [ -e "$LAB_DIR/cgroups" ] || return 0
  while read -r directory; do
    wait_for 20 remove_cgroup "$directory${1:+/$1}" ||
      die "$directory is still in use; see: find $directory -name cgroup.procs | xargs cat"
  done <"$LAB_DIR/cgroups"
}
