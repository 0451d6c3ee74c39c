#!/usr/bin/env python3
"""Node plugins and controllers are killed again and again while pods with volumes come and go: the
calls are repeated, and in the end all is as it was asked for, and nothing is left over.
"""
import sys
import threading
import time

from kubernetes_test import Failure, check_file, claim, main, pod, say, write_file

ROUNDS = 4
CLAIMS = ("a", "b")


class Killer(threading.Thread):
    """Kills the plugins at changing moments. Their pods are deleted without grace: a container that
    is only killed is started later and later by the kubelet.
    """

    PLUGINS = ("cleat-csi-node", "cleat-csi-controller")

    def __init__(self, lab):
        super().__init__(daemon=True)
        self.lab = lab
        self.enough = threading.Event()
        self.kills = 0

    def run(self):
        while not self.enough.wait(2 + (self.kills * 0.7) % 3):
            app = self.PLUGINS[0 if self.kills % 4 else 1]
            self.lab.kubectl("delete", "pods", "--namespace", "cleat", "--selector", f"app={app}",
                             "--grace-period=0", "--force", "--wait=false")
            self.kills += 1

    def finish(self):
        self.enough.set()
        self.join()


def check_nothing_mounted(lab):
    """Of the pods that were deleted."""
    deadline = time.monotonic() + 60
    for name, node in lab.nodes.items():
        while True:
            found = node.run("bash", "-c", "grep -c 'csi.cleat.dev\\|~csi/' /proc/self/mountinfo"
                             " || test $? = 1").strip()
            if found == "0":
                break
            if time.monotonic() > deadline:
                raise Failure(f"{name}: {found} mounts are left of deleted pods")
            time.sleep(1)


def run(lab):
    killer = Killer(lab)
    lab.apply(*(claim(name) for name in CLAIMS), *(pod(name, name) for name in CLAIMS))
    killer.start()
    digests = {}
    for name in CLAIMS:
        lab.wait_ready(name, seconds=400)
        digests[name] = write_file(lab, name)
    for _ in range(ROUNDS):
        for name in CLAIMS:
            lab.delete("pod", name, "--wait=true", "--timeout=300s")
        lab.apply(*(pod(name, name) for name in CLAIMS))
        for name in CLAIMS:
            lab.wait_ready(name, seconds=400)
            check_file(lab, name, digests[name])
    killer.finish()
    say(f"{ROUNDS} rounds of two pods while all plugins were killed, {killer.kills} times in all")
    for name in CLAIMS:
        lab.delete("pod", name, "--timeout=300s")
    check_nothing_mounted(lab)


if __name__ == "__main__":
    sys.exit(main(run, __doc__))
