#!/usr/bin/env python3
"""A node dies with a pod that writes: the pod starts elsewhere with every byte that was synced."""
import sys
import time

from kubernetes_test import Failure, check_file, main, node_to_lose, restore_nodes, say
from kubernetes_test import wait_until, write_file

NAME = "db"


def run(lab):
    node = node_to_lose(lab, NAME)
    digest = write_file(lab, f"{NAME}-0")
    old = lab.uid_of(f"{NAME}-0")
    begin = time.monotonic()
    lab.act("crash", node)
    wait_until(lambda: lab.is_marked(node), 120, f"{node} is marked as out of service")
    say(f"{node} fenced and out of service {time.monotonic() - begin:.1f} s after the crash")
    wait_until(
        lambda: lab.exists("pod", f"{NAME}-0") and lab.uid_of(f"{NAME}-0") != old,
        180,
        "the pod is made again",
    )
    _, new_node = lab.wait_ready(f"{NAME}-0")
    say(f"Ready on {new_node} {time.monotonic() - begin:.1f} s after the crash")
    if new_node == node:
        raise Failure(f"the pod is said to be Ready on the dead node {node}")
    check_file(lab, f"{NAME}-0", digest)
    restore_nodes(lab)
    check_file(lab, f"{NAME}-0", digest)


if __name__ == "__main__":
    sys.exit(main(run, __doc__))
