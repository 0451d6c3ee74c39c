#!/usr/bin/env python3
"""The cleatd pod of a node with an attached volume is deleted under load, several times: the
application sees a pause and no error.
"""
import sys
import time

from cluster_test import Fio
from kubernetes_test import Failure, claim, main, pod, say, wait_until

PAUSE_SECONDS_MAX = 60
DELETIONS = 3


def delete_cleatd(lab, node):
    old = lab.cleatd_pod(node)
    begin = time.monotonic()
    lab.kubectl("delete", "pod", old, "--namespace", "cleat")
    wait_until(lambda: lab.cleatd_pod(node) not in (None, old), 60, f"a new cleatd pod on {node}")
    name = lab.cleatd_pod(node)
    lab.kubectl("wait", "--namespace", "cleat", "--for=condition=Ready", f"pod/{name}",
                "--timeout=120s")
    say(f"{node}: {old} deleted, {name} Ready after {time.monotonic() - begin:.1f} s")


def longest_pause(job):
    """Seconds that the slowest single read or write took."""
    return max(job[kind]["clat_ns"]["max"] for kind in ("read", "write")) / 1e9


def run(lab):
    lab.apply(claim("data", "2Gi"), pod("app", "data"))
    _, node = lab.wait_ready("app")
    fio = Fio(lab.nodes[node], lab.path_of("app", "data"), size="256M", depth=8)
    time.sleep(5)
    for _ in range(DELETIONS):
        delete_cleatd(lab, node)
        time.sleep(5)
        fio.check_running()
    job = fio.finish()
    pause = longest_pause(job)
    total = job["write"]["total_ios"]
    say(f"no I/O error in {total} verified writes; the longest pause was {pause:.2f} s")
    if pause > PAUSE_SECONDS_MAX:
        raise Failure(f"a pause of {pause:.1f} s")


if __name__ == "__main__":
    sys.exit(main(run, __doc__))
