#!/usr/bin/env python3
"""A node with a pod that writes starts anew, and is back before anybody misses it: its volumes stay
published there, and the pod goes on with every byte that was synced.
"""
import sys
import time

from kubernetes_test import Failure, check_file, main, node_to_lose, say, wait_until, write_file

NAME = "db"


def run(lab):
    node = node_to_lose(lab, NAME)
    digest = write_file(lab, f"{NAME}-0")
    uid = lab.uid_of(f"{NAME}-0")
    begin = time.monotonic()
    lab.act("crash", node)
    lab.act("start", node)
    say(f"{node} is up again {time.monotonic() - begin:.1f} s after its end")

    def goes_on():
        check_file(lab, f"{NAME}-0", digest)
        return True

    wait_until(goes_on, 240, "the pod goes on")
    say(f"the pod goes on {time.monotonic() - begin:.1f} s after the end of its node")
    if lab.uid_of(f"{NAME}-0") != uid or lab.node_of(f"{NAME}-0") != node or lab.is_marked(node):
        raise Failure(f"{node} was given up, though it was back soon")
    lab.wait_ready(f"{NAME}-0")


if __name__ == "__main__":
    sys.exit(main(run, __doc__))
