#!/usr/bin/env python3
"""Data that follows: a volume is attached where it has no replica, and gets one there under load,
while the cleatd that reconciles is killed; then one of the others goes. At no moment are fewer
replicas in sync than wanted. A volume that moves back before the copy is done gives it up. The
extender of kube-scheduler sends pods to where the data is.
"""
import json
import sys
import threading
import time

from cluster_test import Failure, Fio, main, say, wait_until

VOLUME = "followed"
PATH = f"/run/mnt/{VOLUME}"
HA = 2
DELAY = "3s"  # follow_delay
# Run on a node: sends the second argument to the first, a URL, and prints the answer.
POST = """
import sys, urllib.request
with urllib.request.urlopen(sys.argv[1], sys.argv[2].encode(), timeout=10) as answer:
    print(answer.read().decode())
"""


class InSyncWatch:
    """Reads the volume's state all the while, and remembers the fewest replicas in sync."""

    def __init__(self, cluster, node):
        self.cluster = cluster
        self.node = node
        self.fewest = HA
        self.readings = 0
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._watch)

    def _watch(self):
        while not self.stopping.wait(0.2):
            try:
                count = len(self.cluster.in_sync_nodes(VOLUME, self.node))
            except Failure:
                continue  # it is asked while a cleatd is killed
            self.fewest = min(self.fewest, count)
            self.readings += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, value, trace):
        self.stopping.set()
        self.thread.join()
        if kind is None and (self.fewest < HA or self.readings == 0):
            raise Failure(f"of {self.readings} readings one had {self.fewest} replicas in sync")


def extender(node, verb, nodes, claim="data"):
    """What kube-scheduler would send to the node's cleatd, and its answer."""
    mounted = {"name": "v", "persistentVolumeClaim": {"claimName": claim}}
    pod = {"metadata": {"name": "db-0", "namespace": "shop"}, "spec": {"volumes": [mounted]}}
    body = json.dumps({"Pod": pod, "NodeNames": nodes})
    address = node.shell("ip -4 -o address show dev eth0").split()[3].split("/")[0]
    url = f"http://{address}:9472/scheduler/{verb}"
    return json.loads(node.run("python3", "-c", POST, url, body))


def scores(node, nodes):
    return {each["Host"]: each["Score"] for each in extender(node, "prioritize", nodes)}


def check_extender(cluster, local):
    names = [node.name for node in cluster.nodes]
    got = scores(cluster.nodes[0], names)
    if any((got[name] == 10) != (name in local) for name in names):
        raise Failure(f"the data is on {sorted(local)}, and the scores are {got}")
    kept = extender(cluster.nodes[0], "filter", [*names, "elsewhere"])
    if kept["NodeNames"] != names or "elsewhere" not in kept["FailedAndUnresolvableNodes"]:
        raise Failure(f"of {names} and a node without Cleat the filter left {kept}")


def is_following(cluster, word):
    return word in cluster.volume(VOLUME).get("following", "")


def replicas(cluster):
    return {replica["node"] for replica in cluster.volume(VOLUME)["replicas"]}


def make_volume(cluster):
    """On the second and the fourth node; the first, which reconciles as a rule, has none."""
    first, second, _, fourth = cluster.nodes
    labels = ["--label", "pvc=data", "--label", "namespace=shop"]
    nodes = f"{second.name},{fourth.name}"
    first.cleat(
        "volume", "create", VOLUME, "--size", "1Gi", "--ha", str(HA), "--nodes", nodes, *labels
    )
    check_extender(cluster, {second.name, fourth.name})


def wait_followed(cluster, node):
    """Until the data is where the volume is attached, and one of the other replicas went."""

    def followed():
        now = replicas(cluster)
        return node.name in now and len(now) == HA and now == cluster.in_sync_nodes(VOLUME)

    wait_until(followed, 180, f"{VOLUME} has its data on {node.name}, and {HA} replicas")


def follow_under_load(cluster):
    first, second, third, _ = cluster.nodes
    third.attach(VOLUME)
    third.cleat("host", "mount", VOLUME, PATH)
    fio = Fio(third, PATH, size="256M", depth=8)
    time.sleep(10)
    if third.name in replicas(cluster):
        raise Failure("it followed without being told to")
    if " *\n" not in third.cleat("v", "l"):
        raise Failure("v l does not say that the data is not local")
    with InSyncWatch(cluster, second):
        second.cleat("volume", "update", VOLUME, "--follow", "on")
        wait_until(lambda: third.name in replicas(cluster), 30, "a replica where it is attached")
        findings = second.cleat_json("status")["findings"]
        say(f"status: {[finding['what'] + ': ' + finding['doing'] for finding in findings]}")
        first.signal("KILL", "cleatd")
        wait_followed(cluster, third)
    fio.check_running()
    job = fio.finish()
    say(f"it followed under {job['write']['total_ios']} verified writes")
    if " *\n" in third.cleat("v", "l") or cluster.volume(VOLUME).get("following"):
        raise Failure("its data is local, and that is not said")
    third.cleat("host", "unmount", VOLUME)
    third.detach(VOLUME)
    check_extender(cluster, replicas(cluster))


def give_the_copy_up(cluster):
    """It is attached on the first node, and back on the third before the copy is done."""
    first, _, third, _ = cluster.nodes
    for node in (first, third):  # whichever is primary copies, and is not to be done before that
        cluster.set_option(node, "resync_rate_max", "4Mi")
    before = replicas(cluster)
    first.attach(VOLUME)
    wait_until(lambda: is_following(cluster, "copying"), 60, "a copy to the first node")
    first.detach(VOLUME)
    third.attach(VOLUME)
    wait_until(lambda: replicas(cluster) == before, 60, "the copy is given up")
    third.detach(VOLUME)
    say("a copy that nobody needs any more is given up")


def run(cluster, options):
    for node in cluster.nodes:
        cluster.set_option(node, "follow_delay", DELAY)
    cluster.wait_online()
    make_volume(cluster)
    follow_under_load(cluster)
    give_the_copy_up(cluster)
    cluster.wait_in_sync(VOLUME, HA)
    say(cluster.nodes[0].cleat("volume", "check", VOLUME, seconds=600).strip())


if __name__ == "__main__":
    sys.exit(main(run, __doc__, nodes=4, pool_size="2Gi"))
