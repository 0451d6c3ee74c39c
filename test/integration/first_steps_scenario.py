#!/usr/bin/env python3
"""What a person does first: a volume is made, used, moved to another node, frozen, copied, grown
and deleted; and what goes wrong is said in one line.
"""
import sys

from cluster_test import Failure, main, mounted, say

VOLUME = "first"


def check_refused(node, status, *arguments):
    """A command must fail with this status and one line that says why."""
    got, output = node.attempt("cleat", *arguments)
    lines = [line for line in output.splitlines() if line.strip()]
    if got != status:
        raise Failure(f"cleat {' '.join(arguments)}: status {got}, not {status}: {output}")
    if status == 1 and len(lines) != 1:
        raise Failure(f"cleat {' '.join(arguments)}: not one line: {output}")
    say(f"refused as it must be: {lines[0] if lines else ''}")


def write_file(node, path, name):
    return node.shell(
        f"head -c 32M /dev/urandom >{path}/{name}; sync {path}/{name}; sha256sum <{path}/{name}"
    )


def check_file(node, path, name, digest):
    if node.shell(f"sha256sum <{path}/{name}") != digest:
        raise Failure(f"{node.name}: {path}/{name} is not what was written")


def use_and_move(first, second):
    device = first.attach(VOLUME)
    if device != f"/dev/cleat/{VOLUME}":
        raise Failure(f"attach printed {device}")
    first.run("mkfs.ext4", "-q", device)
    with mounted(first, VOLUME, device) as path:
        digest = write_file(first, path, "a")
        check_refused(second, 1, "host", "attach", VOLUME)
        check_refused(first, 1, "volume", "delete", VOLUME)
    first.detach(VOLUME)
    device = second.attach(VOLUME)
    with mounted(second, VOLUME, device) as path:
        check_file(second, path, "a", digest)
        second.cleat("volume", "snapshot", "create", VOLUME, "--name", "first.before")
        second.shell(f"rm {path}/a; sync {path}")
        other = write_file(second, path, "b")
    second.detach(VOLUME)
    say("moved, frozen and changed")
    return digest, other


def check_clone_and_restore(node, digest):
    node.cleat("volume", "clone", "first.before", "--name", "copy")
    check_refused(node, 1, "volume", "snapshot", "delete", "first.before")
    device = node.attach("copy")
    with mounted(node, "copy", device) as path:
        check_file(node, path, "a", digest)
    node.detach("copy")
    node.cleat("volume", "delete", "copy")
    node.cleat("volume", "restore", VOLUME, "--snapshot", "first.before")
    device = node.attach(VOLUME)
    with mounted(node, VOLUME, device) as path:
        check_file(node, path, "a", digest)
        node.shell(f"! test -e {path}/b")
    node.detach(VOLUME)
    say("cloned and restored")


def check_growth(node):
    node.cleat("volume", "resize", VOLUME, "--size", "2Gi")
    device = node.attach(VOLUME)
    size = int(node.run("blockdev", "--getsize64", device))
    if size != 2 << 30:
        raise Failure(f"{device} has {size} bytes after the resize to 2 GiB")
    node.shell(f"e2fsck -f -p {device} && resize2fs {device}")
    node.detach(VOLUME)
    say("grown")


def check_bad_input(node):
    check_refused(node, 1, "volume", "create", VOLUME, "--size", "1Gi")
    check_refused(node, 1, "volume", "inspect", "nobody")
    check_refused(node, 2, "volume", "create", "odd", "--size", "1001B")
    check_refused(node, 2, "volume", "create", "a/b", "--size", "1")
    check_refused(node, 2, "volume", "create", "a b", "--size", "1")
    check_refused(node, 2, "volume", "bogus")
    check_refused(node, 2, "volume", "list", "--bogus")


def run(cluster, options):
    first, second, _ = cluster.nodes
    first.cleat("volume", "create", VOLUME, "--size", "1Gi", "--ha", "2", "--fs", "none")
    check_bad_input(first)
    digest, _ = use_and_move(first, second)
    check_clone_and_restore(first, digest)
    check_growth(first)
    print(first.cleat("v", "l"), end="")
    say(first.cleat("volume", "check", VOLUME, seconds=600).strip())
    first.cleat("volume", "snapshot", "delete", "first.before")
    first.cleat("volume", "delete", VOLUME)
    if first.cleat_json("volume", "list")["volumes"]:
        raise Failure("a volume is left after all were deleted")


if __name__ == "__main__":
    sys.exit(main(run, __doc__))
