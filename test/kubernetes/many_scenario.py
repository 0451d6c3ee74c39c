#!/usr/bin/env python3
"""Twenty pods, each with a volume, move at once."""
import json
import sys
import time

from kubernetes_test import Failure, main, say, stateful_set, wait_until

NAME = "many"
PODS = 20


def pods(lab):
    listed = lab.kubectl("get", "pods", "--selector", f"app={NAME}", "--output", "json")
    return json.loads(listed)["items"]


def ready_pods(lab):
    def is_ready(pod):
        conditions = pod["status"].get("conditions", [])
        return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)

    return [pod for pod in pods(lab) if is_ready(pod)]


def wait_all_ready(lab, not_on=None):
    begin = time.monotonic()

    def all_ready():
        there = [pod for pod in ready_pods(lab) if pod["spec"]["nodeName"] != not_on]
        return len(there) == PODS

    wait_until(all_ready, 600, f"{PODS} pods Ready")
    return time.monotonic() - begin


def run(lab):
    lab.apply(stateful_set(NAME, PODS, size="100Mi"))
    say(f"{PODS} pods with new volumes Ready in {wait_all_ready(lab):.0f} s")
    for index in range(PODS):
        lab.shell(f"{NAME}-{index}", f"echo {index} >/data/name; sync /data/name")
    node = "cassandra2"
    moved = [pod["metadata"]["name"] for pod in pods(lab) if pod["spec"]["nodeName"] == node]
    with lab.cordoned(node):
        lab.kubectl("delete", "pods", "--selector", f"app={NAME}", "--wait=false")
        seconds = wait_all_ready(lab, not_on=node)
    say(f"all deleted, {len(moved)} of them moved off {node}: Ready again in {seconds:.0f} s")
    for index in range(PODS):
        if lab.shell(f"{NAME}-{index}", "cat /data/name").strip() != str(index):
            raise Failure(f"{NAME}-{index} has not its own volume")


if __name__ == "__main__":
    sys.exit(main(run, __doc__))
