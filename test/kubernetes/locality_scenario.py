#!/usr/bin/env python3
"""kube-scheduler asks Cleat: a pod that is made again and again is always where its data is. Where
that can't be it runs elsewhere, and data that follows comes to it.
"""
import contextlib
import sys

from kubernetes_test import Failure, check_file, claim, main, pod, say, wait_until, write_file

NAME = "local"
ROUNDS = 6  # two of three nodes have the data: without help one round in three fails


def any_node(lab):
    return next(iter(lab.nodes.values()))


def volume(lab):
    return any_node(lab).cleat_json("volume", "inspect", lab.volume_of(NAME))[0]


def data_nodes(lab):
    return {each["node"] for each in volume(lab)["replicas"] if each["state"] == "in_sync"}


def start_pod(lab):
    lab.apply(pod(NAME, NAME))
    return lab.wait_ready(NAME)[1]


def stop_pod(lab):
    lab.delete("pod", NAME)
    lab.wait_gone("pod", NAME)


def run(lab):
    lab.apply(claim(NAME))
    start_pod(lab)
    digest = write_file(lab, NAME)
    where = data_nodes(lab)
    for _ in range(ROUNDS):
        stop_pod(lab)
        node = start_pod(lab)
        if node not in where:
            raise Failure(f"the pod is on {node}, its data on {sorted(where)}")
    check_file(lab, NAME, digest)
    say(f"{ROUNDS} times on {sorted(where)}, where its data is")
    stop_pod(lab)
    with contextlib.ExitStack() as cordons:
        for node in where:
            cordons.enter_context(lab.cordoned(node))
        node = start_pod(lab)
    any_node(lab).run("cleat", "volume", "update", lab.volume_of(NAME), "--follow", "on")
    wait_until(lambda: node in data_nodes(lab) and len(volume(lab)["replicas"]) == len(where), 180,
               f"the data follows to {node}, and another replica goes")
    check_file(lab, NAME, digest)
    say(f"its data followed to {node}")


if __name__ == "__main__":
    sys.exit(main(run, __doc__))
