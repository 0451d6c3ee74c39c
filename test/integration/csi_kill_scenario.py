#!/usr/bin/env python3
"""The node plugin is killed at any moment, with a volume on its way to a pod and back.

Whatever the kill left, the next calls put right: the volume is staged and published with the files
that were written to it, and nothing of it is left once it is unpublished and unstaged. New volumes
come often, for then a file system is made. And: a volume grows while its pod runs, gets its device
again after that was lost, and is taken over from a node that dies.
"""
import random
import re
import subprocess
import sys
import time

from cluster_test import ROOT, Failure, main, say, wait_until

SOCKET = "/run/csi/csi.sock"
STAGING = "/run/kubelet/staging"
POD = "/run/kubelet/pod"
ROUNDS = {"short": 12, "long": 200}
ROUNDS_PER_VOLUME = 4
CAPABILITY = "{ mount { fs_type: '%s' } access_mode { mode: SINGLE_NODE_WRITER } }"


class Plugin:
    """cleat-csi on one node, and calls to it."""

    def __init__(self, node, build):
        self.node = node
        self.build = build
        self.start()

    def start(self):
        self.process = self.node.start_command(
            [str(self.build / "bin" / "cleat-csi"), "--endpoint", f"unix://{SOCKET}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(lambda: self.attempt("Identity", "Probe", "")[0] == 0, 10, "cleat-csi serves")

    def kill(self):
        self.node.signal("KILL", "cleat-csi")
        self.process.wait(timeout=10)

    def _command(self, service, method, request):
        return [str(self.build / "bin" / "cleat-csi-call"), SOCKET, service, method, request]

    def attempt(self, service, method, request):
        return self.node.attempt(*self._command(service, method, request))

    def begin(self, method, request):
        return self.node.start_command(
            self._command("Node", method, request),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def call(self, service, method, request):
        status, output = self.attempt(service, method, request)
        if status != 0:
            raise Failure(f"{method}: {output.strip()}")
        return output


class Claim:
    """A volume, and what a kubelet says of it."""

    def __init__(self, plugin, name, fs):
        self.name = name
        self.capability = f"volume_capability {CAPABILITY % fs}"
        made = plugin.call(
            "Controller",
            "CreateVolume",
            f"name: '{name}' volume_capabilities {CAPABILITY % fs} "
            "capacity_range { required_bytes: 536870912 } parameters { key: 'repl' value: '2' }",
        )
        self.id = re.search(r'volume_id: "(\d+)"', made).group(1)

    def steps(self):
        """From the node's view: there, and back again."""
        volume = f"volume_id: '{self.id}'"
        staging = f"staging_target_path: '{STAGING}'"
        target = f"target_path: '{POD}'"
        there = [
            ("NodeStageVolume", f"{volume} {staging} {self.capability}"),
            ("NodePublishVolume", f"{volume} {staging} {target} {self.capability}"),
        ]
        back = [
            ("NodeUnpublishVolume", f"{volume} {target}"),
            ("NodeUnstageVolume", f"{volume} {staging}"),
        ]
        return there, back

    def publish(self, plugin, node):
        request = f"volume_id: '{self.id}' node_id: '{node.name}' {self.capability}"
        plugin.call("Controller", "ControllerPublishVolume", request)

    def unpublish(self, plugin, node):
        request = f"volume_id: '{self.id}' node_id: '{node.name}'"
        plugin.call("Controller", "ControllerUnpublishVolume", request)

    def delete(self, plugin):
        plugin.call("Controller", "DeleteVolume", f"volume_id: '{self.id}'")


def cut_short(plugin, method, request, chance):
    """Kills the plugin somewhere in the call."""
    process = plugin.begin(method, request)
    time.sleep(chance.uniform(0, 0.5))
    plugin.kill()
    process.wait(timeout=30)
    plugin.start()


def go(plugin, steps, chance):
    """One step is cut short; then, as a kubelet does, all from the first on."""
    killed = chance.randrange(len(steps))
    for method, request in steps[:killed]:
        plugin.call("Node", method, request)
    cut_short(plugin, *steps[killed], chance)
    for method, request in steps:
        plugin.call("Node", method, request)


def check_nothing_left(node):
    if node.attempt("grep", "-c", " /run/kubelet/", "/proc/self/mountinfo")[0] == 0:
        raise Failure("a mount is left")
    if node.attempt("test", "-e", POD)[0] == 0:
        raise Failure(f"{POD} is left")


def check_kills(plugin, rounds, chance):
    node = plugin.node
    claim = None
    for i in range(rounds):
        if i % ROUNDS_PER_VOLUME == 0:
            claim = Claim(plugin, f"claim{i}", chance.choice(["ext4", "xfs"]))
            claim.publish(plugin, node)
        there, back = claim.steps()
        go(plugin, there, chance)
        written = node.shell(f"ls {POD}/ | grep -c '^file' || [ $? = 1 ]").strip()
        if int(written) != i % ROUNDS_PER_VOLUME:
            raise Failure(f"{claim.name}: {written} files, not {i % ROUNDS_PER_VOLUME}")
        node.shell(f"echo {i} >{POD}/file{i}; sync {POD}/file{i}")
        go(plugin, back, chance)
        check_nothing_left(node)
        if i % ROUNDS_PER_VOLUME == ROUNDS_PER_VOLUME - 1:
            claim.unpublish(plugin, node)
            claim.delete(plugin)
    say(f"killed {2 * rounds} times")


def check_growth(plugin, claim):
    grown = 1 << 30
    size = f"volume_id: '{claim.id}' capacity_range {{ required_bytes: {grown} }}"
    plugin.call("Controller", "ControllerExpandVolume", size)
    status, output = plugin.attempt("Node", "NodeExpandVolume", f"{size} volume_path: '{POD}'")
    stats = f"volume_id: '{claim.id}' volume_path: '{POD}'"
    if status != 0:
        say(f"not while it is mounted: {output.strip()}")
        if "FAILED_PRECONDITION" not in output:
            raise Failure(output)
        if "abnormal: true" not in plugin.call("Node", "NodeGetVolumeStats", stats):
            raise Failure("the volume's condition does not say so")
    there, back = claim.steps()
    for method, request in [*back, *there]:
        plugin.call("Node", method, request)
    if "abnormal" in plugin.call("Node", "NodeGetVolumeStats", stats):
        raise Failure("grown, and still not well")
    blocks = int(plugin.node.shell(f"df --output=size -k {POD} | tail -n 1"))
    if blocks * 1024 < 0.9 * grown:
        raise Failure(f"the file system has {blocks} KiB")


def check_lost_device(plugin, claim):
    """Its device ends with the keeper's process, as with a boot of the node; published it stays."""
    node = plugin.node
    node.shell(f"echo kept >{POD}/kept; sync {POD}/kept")
    there, back = claim.steps()
    node.signal("KILL", "cleat-keeper")
    wait_until(lambda: node.attempt("test", "-e", f"/dev/cleat/{claim.name}")[0] != 0, 30, "gone")
    for method, request in back:
        plugin.call("Node", method, request)

    def staged_again():
        return all(plugin.attempt("Node", *step)[0] == 0 for step in there)

    wait_until(staged_again, 60, "a stage gets the volume its device again")
    if node.shell(f"cat {POD}/kept").strip() != "kept":
        raise Failure("what was written is not there")
    say("staged again after its device was gone")


def check_takeover(cluster, first, second, claim):
    """The node of the pod dies; its volume is unpublished there, and goes on elsewhere."""
    first.node.shell(f"echo precious >{POD}/precious; sync {POD}/precious")
    cluster.crash(first.node)
    wait_until(
        lambda: second.attempt(
            "Controller",
            "ControllerUnpublishVolume",
            f"volume_id: '{claim.id}' node_id: '{first.node.name}'",
        )[0]
        == 0,
        30,
        "the dead node is known to be away",
    )
    claim.publish(second, second.node)
    for method, request in claim.steps()[0]:
        second.call("Node", method, request)
    if second.node.shell(f"cat {POD}/precious").strip() != "precious":
        raise Failure("what was written is not there")
    say("taken over from a node that died")


def run(cluster, options):
    chance = random.Random(options.seed)
    build = options.build or ROOT / "build" / "release"
    first, second = (Plugin(node, build.resolve()) for node in cluster.nodes[:2])
    check_kills(first, ROUNDS[options.length], chance)
    claim = Claim(first, "grows", "ext4")
    claim.publish(first, first.node)
    for method, request in claim.steps()[0]:
        first.call("Node", method, request)
    check_growth(first, claim)
    check_lost_device(first, claim)
    check_takeover(cluster, first, second, claim)


if __name__ == "__main__":
    sys.exit(main(run, __doc__))
