#!/usr/bin/env python3
"""A node is cut off while its pod writes: the pod starts elsewhere, and what the old one writes
from then on is seen by nobody, also after the link is back.
"""
import sys
import time

from kubernetes_test import Failure, check_file, main, restore_nodes, say, stateful_set
from kubernetes_test import wait_until, write_file
from node_crash_scenario import NAME, node_to_lose

# A number that rises for as long as the pod can write; each is on the disk before the next.
MARKS = (
    "nohup bash -c 'n=0; while :; do n=$((n + 1)); echo $n >/data/marks.new; sync /data/marks.new;"
    " mv /data/marks.new /data/marks; sync /data; sleep 0.2; done' >/dev/null 2>&1 &"
)


def run(lab):
    node = node_to_lose(lab)
    pod_name = f"{NAME}-0"
    digest = write_file(lab, pod_name)
    lab.shell(pod_name, MARKS)
    wait_until(lambda: int(lab.shell(pod_name, "cat /data/marks")) > 5, 60, "marks are written")
    old = lab.uid_of(pod_name)
    begin = time.monotonic()
    lab.act("isolate", node)
    wait_until(lambda: lab.is_marked(node), 180, f"{node} is marked as out of service")
    say(f"{node} fenced and out of service {time.monotonic() - begin:.1f} s after the cut")
    wait_until(
        lambda: lab.exists("pod", pod_name) and lab.uid_of(pod_name) != old,
        180,
        "the pod is made again",
    )
    _, new_node = lab.wait_ready(pod_name)
    say(f"Ready on {new_node} {time.monotonic() - begin:.1f} s after the link was cut")
    check_file(lab, pod_name, digest)
    marks = lab.shell(pod_name, "cat /data/marks")
    time.sleep(5)
    restore_nodes(lab)
    time.sleep(5)
    if lab.shell(pod_name, "cat /data/marks") != marks:
        raise Failure("the old pod's writes went through after the takeover")
    check_file(lab, pod_name, digest)
    say(f"the last mark of the old pod is {marks.strip()}, also after the link is back")


if __name__ == "__main__":
    sys.exit(main(run, __doc__))
