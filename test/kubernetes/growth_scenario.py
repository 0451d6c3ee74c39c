#!/usr/bin/env python3
"""A claim grows while its pod runs, and no data is lost by it."""
import json
import sys

from kubernetes_test import check_file, claim, main, pod, say, wait_until, write_file

GIB = 1 << 30


def size_of_filesystem(lab, name):
    return int(lab.shell(name, "stat -f -c '%b %S' /data | { read -r b s; echo $((b * s)); }"))


def run(lab):
    lab.apply(claim("data", "1Gi"), pod("app", "data"))
    lab.wait_ready("app")
    digest = write_file(lab, "app")
    before = size_of_filesystem(lab, "app")
    wish = {"spec": {"resources": {"requests": {"storage": "2Gi"}}}}
    lab.kubectl("patch", "pvc", "data", "--patch", json.dumps(wish))
    volume = lab.get("pvc", "data")["spec"]["volumeName"]
    lab.wait("pv", volume, ("spec", "capacity", "storage"), "2Gi")
    say("the volume has grown")
    # Root without CAP_SYS_RESOURCE can't grow a mounted ext4: a new pod mounts it anew.
    lab.delete("pod", "app")
    lab.apply(pod("app", "data"))
    lab.wait_ready("app")
    wait_until(lambda: size_of_filesystem(lab, "app") > 1.8 * GIB, 180, "the file system has grown")
    lab.wait("pvc", "data", ("status", "capacity", "storage"), "2Gi")
    say(f"the file system has grown from {before} to {size_of_filesystem(lab, 'app')} bytes")
    check_file(lab, "app", digest)


if __name__ == "__main__":
    sys.exit(main(run, __doc__))
