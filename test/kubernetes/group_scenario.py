#!/usr/bin/env python3
"""A group snapshot of two volumes under writes is of one moment: a number that is written to the
first volume and then to the second is never further on the second, nor more than one behind.
"""
import json
import sys
import time

from kubernetes_test import IMAGE, Failure, claim, main, pod, say, wait_until

GROUP_API = "groupsnapshot.storage.k8s.io/v1"
LABELS = {"group": "pair"}
WRITER = (
    "n=0; while :; do n=$((n + 1)); for d in first second; do"
    " echo $n | dd of=/$d/n conv=notrunc,fsync status=none; done; done & trap 'exit 0' TERM; wait"
)


def labelled_claim(name):
    manifest = claim(name)
    manifest["metadata"]["labels"] = LABELS
    return manifest


def writer():
    names = ("first", "second")
    main_container = {
        "name": "main",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["bash", "-c", WRITER],
        "volumeMounts": [{"name": name, "mountPath": f"/{name}"} for name in names],
    }
    volumes = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in names]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "writer"},
        "spec": {
            "terminationGracePeriodSeconds": 2,
            "containers": [main_container],
            "volumes": volumes,
        },
    }


def group_snapshot(name):
    return {
        "apiVersion": GROUP_API,
        "kind": "VolumeGroupSnapshot",
        "metadata": {"name": name},
        "spec": {
            "volumeGroupSnapshotClassName": "cleat",
            "source": {"selector": {"matchLabels": LABELS}},
        },
    }


def snapshots_by_claim(lab):
    listed = json.loads(lab.kubectl("get", "volumesnapshots", "--output", "json"))["items"]
    ready = [each for each in listed if each.get("status", {}).get("readyToUse")]
    return {
        each["spec"]["source"]["persistentVolumeClaimName"]: each["metadata"]["name"]
        for each in ready
        if "persistentVolumeClaimName" in each["spec"]["source"]
    }


def restored_number(lab, claim_name, snapshot_name):
    copy = f"{claim_name}-restored"
    source = {
        "apiGroup": "snapshot.storage.k8s.io",
        "kind": "VolumeSnapshot",
        "name": snapshot_name,
    }
    lab.apply(claim(copy, source=source), pod(copy, copy))
    lab.wait_ready(copy)
    return int(lab.shell(copy, "cat /data/n"))


def run(lab):
    lab.apply(labelled_claim("first"), labelled_claim("second"), writer())
    lab.wait_ready("writer")
    time.sleep(3)
    lab.apply(group_snapshot("together"))
    lab.wait("volumegroupsnapshot", "together", ("status", "readyToUse"), True)
    wait_until(lambda: len(snapshots_by_claim(lab)) == 2, 60, "two ready snapshots of the group")
    numbers = {
        name: restored_number(lab, name, snapshot)
        for name, snapshot in snapshots_by_claim(lab).items()
    }
    say(f"first has {numbers['first']}, second {numbers['second']}")
    if numbers["first"] - numbers["second"] not in (0, 1):
        raise Failure("the two snapshots are of different moments")


if __name__ == "__main__":
    sys.exit(main(run, __doc__))
