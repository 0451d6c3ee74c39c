"""What the scenarios on the Kubernetes lab are written with.

A scenario is a file NAME_scenario.py with a function run(lab), started by main(run, ...) below on a
lab that is up; test/kubernetes/run brings one up and starts them all. Each scenario has a namespace
of its own, which is deleted at its end, and leaves all nodes Ready. cluster_test is the one of the
integration tests.
"""
import argparse
import contextlib
import json
import os
import pathlib
import shlex
import subprocess
import sys
import time

from cluster_test import ROOT, Failure, say, wait_until

LAB = ROOT / "lab" / "kubernetes"
IMAGE = "cleat.dev/cleat:dev"
NODES = ("cassandra1", "cassandra2", "cassandra3")
COMMAND_SECONDS_MAX = 180
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"


def run_command(command, seconds, text=None):
    """(exit status, standard output, standard error) of a command that may fail."""
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=seconds, check=False
    )
    return done.returncode, done.stdout, done.stderr


def succeed(command, seconds=COMMAND_SECONDS_MAX, text=None):
    status, output, errors = run_command(command, seconds, text)
    if status != 0:
        said = (errors + output).strip()
        raise Failure(f"{shlex.join(command[-8:])}: status {status}: {said}")
    return output


class Node:
    """One node of the lab; commands run in its namespaces, as those of cluster_test's nodes do."""

    def __init__(self, lab, name):
        self.lab = lab
        self.name = name

    def _command(self, command):
        return [*self.lab.command, "on", self.name, *command]

    def start_command(self, command, **popen):
        return subprocess.Popen(self._command(command), text=True, **popen)

    def attempt(self, *command, seconds=COMMAND_SECONDS_MAX):
        status, output, errors = run_command(self._command(command), seconds)
        return status, output + errors

    def run(self, *command, seconds=COMMAND_SECONDS_MAX):
        return succeed(self._command(command), seconds)

    def cleat_json(self, *arguments):
        return json.loads(self.run("cleat", *arguments, "-j"))

    def pids(self, program):
        """Of a program on this node, in whatever pod."""
        status, output = self.attempt("pgrep", "-x", program)
        return output.split() if status == 0 else []

    def signal(self, signal, program):
        pids = self.pids(program)
        if pids:
            self.attempt("kill", f"-{signal}", *pids)


class Lab:
    """A lab that is up, and a namespace in it."""

    def __init__(self, directory, namespace):
        self.command = [str(LAB)] + (["--dir", str(directory)] if directory else [])
        self.namespace = namespace
        self.nodes = {name: Node(self, name) for name in NODES}

    def act(self, *arguments, seconds=300):
        say(f"lab/kubernetes {shlex.join(arguments)}")
        return succeed([*self.command, *arguments], seconds)

    def kubectl(self, *arguments, text=None, seconds=COMMAND_SECONDS_MAX):
        command = [*self.command, "kubectl", "--namespace", self.namespace, *arguments]
        return succeed(command, seconds, text)

    def get(self, kind, name, *options):
        return json.loads(self.kubectl("get", kind, name, "--output", "json", *options))

    def exists(self, kind, name):
        return bool(self.kubectl("get", kind, name, "--ignore-not-found").strip())

    def apply(self, *manifests):
        listed = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
        self.kubectl("apply", "--filename", "-", text=json.dumps(listed))

    def delete(self, kind, name, *options):
        self.kubectl("delete", kind, name, *options)

    def start_shell(self, pod, script):
        """As shell(), and goes on: the process, with its output."""
        command = [*self.command, "kubectl", "--namespace", self.namespace, "exec", pod, "--"]
        return subprocess.Popen(
            [*command, "bash", "-euc", script], text=True, stdout=subprocess.PIPE
        )

    def shell(self, pod, script, seconds=COMMAND_SECONDS_MAX):
        """In a pod's container."""
        return self.kubectl("exec", pod, "--", "bash", "-euc", script, seconds=seconds)

    # ---- waiting --------------------------------------------------------------------------------

    def wait(self, kind, name, path, value, seconds=180):
        """Until the field at a path such as ("status", "phase") has this value."""

        def has_value():
            field = self.get(kind, name)
            for key in path:
                field = field.get(key, {})
            return field == value

        try:
            wait_until(has_value, seconds, f"{kind} {name}: {'.'.join(path)} is {value}")
        except Failure as error:
            raise Failure(f"{error}\n{self.events()}") from error

    def is_ready(self, pod):
        conditions = self.get("pod", pod)["status"].get("conditions", [])
        return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)

    def wait_ready(self, pod, seconds=180):
        """Until the pod is Ready; the seconds it took, and the node it is on."""
        begin = time.monotonic()
        try:
            wait_until(lambda: self.is_ready(pod), seconds, f"pod {pod} Ready")
        except Failure as error:
            raise Failure(f"{error}\n{self.events()}") from error
        return time.monotonic() - begin, self.node_of(pod)

    def wait_gone(self, kind, name, seconds=180):
        wait_until(lambda: not self.exists(kind, name), seconds, f"{kind} {name} is gone")

    def node_of(self, pod):
        return self.get("pod", pod)["spec"]["nodeName"]

    def uid_of(self, pod):
        return self.get("pod", pod)["metadata"]["uid"]

    def events(self):
        """The last warnings: why something does not come about."""
        warnings = self.kubectl(
            "get", "events", "--field-selector", "type=Warning", "--sort-by", ".lastTimestamp"
        )
        return "\n".join(warnings.splitlines()[-8:])

    # ---- Cleat ----------------------------------------------------------------------------------

    def volume_of(self, claim):
        """The handle that Cleat knows a claim's volume by."""
        name = self.get("pvc", claim)["spec"]["volumeName"]
        return self.get("pv", name)["spec"]["csi"]["volumeHandle"]

    def cleatd_pod(self, node):
        pods = json.loads(
            self.kubectl("get", "pods", "--namespace", "cleat", "--selector", "app=cleatd",
                         "--field-selector", f"spec.nodeName={node}", "--output", "json")
        )["items"]
        living = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        return living[0]["metadata"]["name"] if living else None

    def path_of(self, pod, claim):
        """Where the node has a claim's file system for a pod."""
        volume = self.get("pvc", claim)["spec"]["volumeName"]
        directory = f"/var/lib/kubelet/pods/{self.uid_of(pod)}"
        return f"{directory}/volumes/kubernetes.io~csi/{volume}/mount"

    # ---- nodes ----------------------------------------------------------------------------------

    def is_marked(self, node):
        """Out of service: Cleat says so of a lost node, when its volumes are fenced."""
        taints = self.get("node", node)["spec"].get("taints", [])
        return any(taint["key"] == OUT_OF_SERVICE for taint in taints)

    @contextlib.contextmanager
    def cordoned(self, node):
        self.kubectl("cordon", node)
        try:
            yield
        finally:
            self.kubectl("uncordon", node)


# ---- manifests ----------------------------------------------------------------------------------


def claim_spec(size, mode="Filesystem", access="ReadWriteOnce", source=None):
    spec = {
        "storageClassName": "cleat",
        "accessModes": [access],
        "volumeMode": mode,
        "resources": {"requests": {"storage": size}},
    }
    if source:
        spec["dataSource"] = source
    return spec


def claim(name, size="1Gi", **options):
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": claim_spec(size, **options),
    }


def container(device=None):
    """Waits to be told; ends at once when it is asked to."""
    spec = {
        "name": "main",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["bash", "-c", "trap 'exit 0' TERM; while :; do sleep 1 & wait; done"],
    }
    if device:
        spec["volumeDevices"] = [{"name": "data", "devicePath": device}]
    else:
        spec["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    return spec


def pod(name, claim_name, node=None, device=None):
    spec = {
        "terminationGracePeriodSeconds": 5,
        "containers": [container(device)],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim_name}}],
    }
    if node:
        spec["nodeSelector"] = {"kubernetes.io/hostname": node}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def stateful_set(name, replicas, size="1Gi"):
    labels = {"app": name}
    template = {"terminationGracePeriodSeconds": 5, "containers": [container()]}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name},
        "spec": {
            "serviceName": name,
            "replicas": replicas,
            "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": template},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": claim_spec(size)}],
        },
    }


# ---- data ---------------------------------------------------------------------------------------


def write_file(lab, pod_name, name="file", size="32M"):
    """Random bytes on the disk; their digest."""
    script = f"head -c {size} /dev/urandom >/data/{name}; sync /data/{name} /data"
    return lab.shell(pod_name, f"{script}; sha256sum </data/{name}")


def check_file(lab, pod_name, digest, name="file"):
    if lab.shell(pod_name, f"sha256sum </data/{name}") != digest:
        raise Failure(f"{pod_name}: /data/{name} is not what was written")


# ---- the scenario -------------------------------------------------------------------------------


def node_to_lose(lab, name):
    """Where the one pod of a new set is: not on cassandra1, which has the only API server."""
    with lab.cordoned("cassandra1"):
        lab.apply(stateful_set(name, replicas=1))
        return lab.wait_ready(f"{name}-0")[1]


def restore_nodes(lab):
    """Whatever a scenario did to the nodes: all are there and Ready."""
    for name, node in lab.nodes.items():
        if node.attempt("test", "-e", "/")[0] != 0:
            lab.act("start", name)
        lab.act("heal", name)
        lab.kubectl("uncordon", name)
    lab.kubectl("wait", "--for=condition=Ready", "nodes", "--all", "--timeout=120s")
    for name in lab.nodes:
        wait_until(lambda name=name: not lab.is_marked(name), 180, f"{name} in service again")
    lab.kubectl("rollout", "status", "--namespace", "cleat", "--timeout=120s", "daemonset/cleatd")


def parse(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--dir", type=pathlib.Path, help="the lab's directory, as lab/kubernetes")
    return parser.parse_args()


def main(run, description):
    """Runs a scenario; returns 1 when it failed. What it made is there to be looked at then."""
    options = parse(description)
    name = pathlib.Path(sys.argv[0]).stem.removesuffix("_scenario")
    lab = Lab(options.dir, f"test-{name.replace('_', '-')}")
    lab.kubectl("delete", "namespace", lab.namespace, "--ignore-not-found", "--wait")
    lab.kubectl("create", "namespace", lab.namespace)
    try:
        run(lab)
    except (Failure, subprocess.TimeoutExpired) as error:
        say(f"{name}: FAILED: {error}")
        restore_nodes(lab)
        return 1
    lab.kubectl("delete", "namespace", lab.namespace, "--wait", "--timeout=120s")
    say(f"{name}: passed")
    return 0


if os.geteuid() != 0:
    sys.exit("the Kubernetes lab makes namespaces and mounts: run its tests as root")
