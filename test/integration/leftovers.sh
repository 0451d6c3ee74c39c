# shellcheck shell=bash
# What a lab that was taken down may have left on the machine. Sourced.

# own_processes DIRECTORY: those that have it in their command line or in their mounts, as all
# processes of a node have. The name is read from a file: else grep would find itself.
own_processes() {
  grep -l -s -F -f <(echo "$1") /proc/[0-9]*/cmdline /proc/[0-9]*/mountinfo |
    cut -d / -f 3 | sort -u | grep -v -x -e "$$" -e "$BASHPID" || [ $? = 1 ]
}

# leftovers DIRECTORY: a line for each kind of thing that is left of the lab there.
leftovers() {
  local processes
  processes=$(own_processes "$1" | xargs)
  [ -z "$processes" ] || echo "processes: $processes"
  ! grep -q -F "$1" /proc/self/mountinfo || echo "mounts: $(grep -c -F "$1" /proc/self/mountinfo)"
  [ ! -e "$1" ] || echo "the directory $1"
}
