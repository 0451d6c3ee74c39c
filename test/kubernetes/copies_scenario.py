#!/usr/bin/env python3
"""Snapshot, a volume restored from it, and a clone: each with the data of its moment."""
import sys

from kubernetes_test import Failure, check_file, claim, main, pod, say, write_file

SNAPSHOT_API = "snapshot.storage.k8s.io/v1"


def snapshot(name, claim_name):
    return {
        "apiVersion": SNAPSHOT_API,
        "kind": "VolumeSnapshot",
        "metadata": {"name": name},
        "spec": {
            "volumeSnapshotClassName": "cleat",
            "source": {"persistentVolumeClaimName": claim_name},
        },
    }


def source(kind, name):
    group = {"apiGroup": "snapshot.storage.k8s.io"} if kind == "VolumeSnapshot" else {}
    return {"kind": kind, "name": name, **group}


def check_absent(lab, pod_name, name):
    if lab.shell(pod_name, f"ls /data/{name} 2>&1 || echo absent").strip()[-6:] != "absent":
        raise Failure(f"{pod_name}: /data/{name} was written after this copy was made")


def run(lab):
    lab.apply(claim("data"), pod("app", "data"))
    lab.wait_ready("app")
    first = write_file(lab, "app", "first")
    lab.apply(snapshot("before", "data"))
    lab.wait("volumesnapshot", "before", ("status", "readyToUse"), True)
    second = write_file(lab, "app", "second")
    lab.apply(
        claim("restored", source=source("VolumeSnapshot", "before")),
        claim("cloned", source=source("PersistentVolumeClaim", "data")),
        pod("restored", "restored"),
        pod("cloned", "cloned"),
    )
    for name in ("restored", "cloned"):
        lab.wait_ready(name)
        check_file(lab, name, first, "first")
    check_absent(lab, "restored", "second")
    check_file(lab, "cloned", second, "second")
    say("the restored volume has the data of the snapshot, the clone that of its own moment")
    write_file(lab, "restored", "third")
    check_absent(lab, "app", "third")
    lab.delete("pod", "app")
    lab.delete("pvc", "data")
    check_file(lab, "cloned", second, "second")
    say("copies outlive what they were made of")


if __name__ == "__main__":
    sys.exit(main(run, __doc__))
