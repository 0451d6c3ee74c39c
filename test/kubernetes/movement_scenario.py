#!/usr/bin/env python3
"""A StatefulSet gets its volumes, and its data follows a pod that is moved to another node."""
import sys
import time

from kubernetes_test import Failure, check_file, main, say, stateful_set, write_file

NAME = "web"


def move(lab, pod_name):
    """Off its node; the new node."""
    old_node, old_uid = lab.node_of(pod_name), lab.uid_of(pod_name)
    with lab.cordoned(old_node):
        begin = time.monotonic()
        lab.delete("pod", pod_name, "--wait=false")
        while not lab.exists("pod", pod_name) or lab.uid_of(pod_name) == old_uid:
            if time.monotonic() - begin > 60:
                raise Failure(f"{pod_name} was deleted and is not made again")
            time.sleep(0.2)
        _, node = lab.wait_ready(pod_name)
        say(f"{pod_name}: {old_node} to {node} in {time.monotonic() - begin:.1f} s")
    if node == old_node:
        raise Failure(f"{pod_name} is on the cordoned node {node}")
    return node


def run(lab):
    begin = time.monotonic()
    lab.apply(stateful_set(NAME, replicas=2))
    for index in (0, 1):
        lab.wait_ready(f"{NAME}-{index}")
    say(f"two pods with new volumes in {time.monotonic() - begin:.1f} s")
    digest = write_file(lab, f"{NAME}-0")
    other = write_file(lab, f"{NAME}-1")
    seen = {lab.node_of(f"{NAME}-0")}
    for _ in range(2):
        seen.add(move(lab, f"{NAME}-0"))
        check_file(lab, f"{NAME}-0", digest)
    check_file(lab, f"{NAME}-1", other)
    say(f"the data was there on {', '.join(sorted(seen))}")


if __name__ == "__main__":
    sys.exit(main(run, __doc__))
