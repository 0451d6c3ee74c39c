#!/usr/bin/env python3
"""cleatd is killed at bad moments: while etcd is away, while it exports by NBD, and stays away
until another node has written. So is its keeper. Two nodes attach one volume at once. What can go
on does, and the metadata says what is.
"""
import sys
import time

from cluster_test import Failure, Fio, main, say, wait_until

VOLUME = "restarted"
PATH = f"/run/mnt/{VOLUME}"
ETCD_AWAY_SECONDS = 12  # longer than a call to etcd takes to fail


def restart_without_etcd(cluster):
    """The device waits for etcd as it waits for cleatd: a pause, however long etcd is away."""
    first, second, third = cluster.nodes
    first.cleat("volume", "create", VOLUME, "--size", "512M", "--ha", "2")
    first.attach(VOLUME)
    first.cleat("host", "mount", VOLUME, PATH)
    fio = Fio(first, PATH, size="128M", depth=4)
    time.sleep(2)
    for node in (second, third):
        node.signal("STOP", "etcd")
    first.signal("KILL", "cleatd")
    say(f"etcd is away for {ETCD_AWAY_SECONDS} s, and cleatd was killed")
    time.sleep(ETCD_AWAY_SECONDS)
    fio.check_running()
    for node in (second, third):
        node.signal("CONT", "etcd")
    wait_until(lambda: first.attempt("cleat", "volume", "stats", VOLUME)[0] == 0, 60, "served")
    time.sleep(2)
    job = fio.finish()
    say(f"fio went on: {job['write']['total_ios']} writes")
    first.cleat("host", "unmount", VOLUME)


def grow(cluster):
    """The file system grows with its volume, now or at the next mount."""
    first = cluster.nodes[0]
    first.cleat("host", "mount", VOLUME, PATH)
    say(first.cleat("volume", "resize", VOLUME, "--size", "1Gi").strip())
    first.cleat("host", "unmount", VOLUME)
    first.cleat("host", "mount", VOLUME, PATH)
    kib = int(first.run("df", "--output=size", PATH).split()[-1])
    if kib < 900 << 10:
        raise Failure(f"the file system has {kib} KiB after the volume grew to 1 GiB")
    if "fs_growth" in cluster.volume(VOLUME) and cluster.volume(VOLUME)["fs_growth"]:
        raise Failure("inspect still says that the file system is to grow")
    first.cleat("host", "unmount", VOLUME)


def grow_and_die(cluster):
    """cleatd dies with its growth half told to the keeper: the device goes on, and has grown."""
    first = cluster.nodes[0]
    first.cleat("host", "mount", VOLUME, PATH)
    fio = Fio(first, PATH, size="128M", depth=4)
    first.signal("STOP", "cleat-keeper")
    growth = first.start_command(["cleat", "volume", "resize", VOLUME, "--size", "1152Mi"])
    time.sleep(2)
    first.signal("KILL", "cleatd")
    first.signal("CONT", "cleat-keeper")
    growth.wait(timeout=60)
    wait_until(lambda: first.attempt("cleat", "volume", "stats", VOLUME)[0] == 0, 60, "served")
    size = f"blockdev --getsize64 /dev/cleat/{VOLUME}"
    wait_until(lambda: int(first.shell(size)) == 1152 << 20, 30, "the device has grown")
    fio.finish()
    first.cleat("host", "unmount", VOLUME)
    first.detach(VOLUME)
    say("the device grew though cleatd died while it told the keeper")


def lose_the_device(cluster, how, lose):
    """That is said, and an attach makes a new one on the same data."""
    first = cluster.nodes[0]
    first.attach(VOLUME)
    first.cleat("host", "mount", VOLUME, PATH)
    first.shell(f"echo kept >{PATH}/file; sync {PATH}/file")
    lose(first)

    def said():
        findings = first.cleat_json("status")["findings"]
        return any("has no device there" in finding["what"] for finding in findings)

    wait_until(said, 30, "status says that the device is gone")
    first.shell(f"! mountpoint -q {PATH} || umount {PATH}")
    first.attach(VOLUME)
    first.cleat("host", "mount", VOLUME, PATH)
    if first.shell(f"cat {PATH}/file") != "kept\n":
        raise Failure("the file is not what was written")
    first.cleat("host", "unmount", VOLUME)
    first.detach(VOLUME)
    say(f"a new device after {how}")


def lose_the_keeper(cluster):
    lose_the_device(
        cluster, "the keeper was killed", lambda node: node.signal("KILL", "cleat-keeper")
    )


def lose_the_connection(cluster):
    """As a person does who gives up on a device that hangs: src/keeper/README.md."""
    volume = cluster.volume(VOLUME)["id"]
    abort = f"""
        device=$(mountpoint -d /run/cleat/fuse/{volume})
        echo 1 >/sys/fs/fuse/connections/${{device#*:}}/abort
    """
    lose_the_device(cluster, "its connection was aborted", lambda node: node.shell(abort))


def come_back_too_late(cluster):
    """Another node had the volume meanwhile: what waits in the old device is never written."""
    first, second, _ = cluster.nodes
    first.attach(VOLUME)
    first.run("mkfs.ext4", "-q", "-F", f"/dev/cleat/{VOLUME}")
    first.cleat("host", "mount", VOLUME, PATH)
    first.shell(f"echo old >{PATH}/file; sync {PATH}/file")
    first.shell("touch /run/stopping")  # cleatd is not started again
    first.signal("KILL", "cleatd")
    write = f"dd if=/dev/zero of={PATH}/file bs=4k count=8 conv=fsync"
    late = first.start_command(write.split())
    wait_until(lambda: attach_by_force(second), 60, "taken over")
    second.cleat("host", "mount", VOLUME, PATH)
    second.shell(f"echo new >{PATH}/file; sync {PATH}/file")
    second.cleat("host", "unmount", VOLUME)
    second.detach(VOLUME)
    first.shell("rm /run/stopping")
    first.shell("cleatd --config /etc/cleat/cleatd.toml >/run/cleatd.log 2>&1 & disown")
    if late.wait(timeout=60) == 0:
        raise Failure("a write that waited went through, after another node's")
    first.shell(f"umount {PATH}")
    second.attach(VOLUME)
    second.cleat("host", "mount", VOLUME, PATH)
    if second.shell(f"cat {PATH}/file") != "new\n":
        raise Failure("the file is not what the other node wrote")
    second.cleat("host", "unmount", VOLUME)
    second.detach(VOLUME)
    say("a device that came back too late failed, and wrote nothing")


def die_while_detaching(cluster):
    """The keeper is asked to take a device down that is in use; cleatd dies before it refuses."""
    first = cluster.nodes[0]
    first.attach(VOLUME)
    user = f"""
        exec 3<>/dev/cleat/{VOLUME}
        for ((i = 0; i < 80; i++)); do
          dd if=/dev/zero of=/dev/fd/3 bs=4k count=1 oflag=direct conv=notrunc status=none
          sleep 0.1
        done
    """
    using = first.start_command(["bash", "-euc", user])
    time.sleep(1)
    detaching = first.start_command(["cleat", "host", "detach", VOLUME])
    time.sleep(0.3)
    first.signal("KILL", "cleatd")
    if detaching.wait(timeout=60) == 0:
        raise Failure("a device in use was detached")
    if using.wait(timeout=60) != 0:
        raise Failure("the user of a device saw an error")
    first.detach(VOLUME)
    say("the user of a device saw nothing of a refused detach and of the death of cleatd")


def attach_by_force(node):
    return node.attempt("cleat", "host", "attach", VOLUME, "--force")[0] == 0


def export_again(cluster):
    """Clients of NBD connect again after a restart, and find the export."""
    first = cluster.nodes[0]
    uri = first.attach(VOLUME, "--frontend", "nbd")
    first.run("nbdinfo", "--size", uri)
    first.signal("KILL", "cleatd")
    wait_until(lambda: first.attempt("nbdinfo", "--size", uri)[0] == 0, 60, "exported again")
    say("exported again after cleatd was killed")
    first.detach(VOLUME)


def attach_at_once(cluster):
    """One of two nodes gets the volume, and everybody is told which."""
    first, second, third = cluster.nodes
    for _ in range(5):
        attempts = {
            node.name: node.start_command(["cleat", "host", "attach", VOLUME])
            for node in (first, second)
        }
        winners = [name for name, process in attempts.items() if process.wait(timeout=60) == 0]
        if len(winners) != 1:
            raise Failure(f"attached on {winners} at once")
        volume = cluster.volume(VOLUME, third)
        if volume.get("attachment", {}).get("node") != winners[0]:
            raise Failure(f"attached on {winners[0]}, shown as {volume.get('attachment')}")
        if third.attempt("cleat", "volume", "delete", VOLUME)[0] == 0:
            raise Failure("an attached volume was deleted")
        third.detach(VOLUME)
    say("of two attaches at once one wins")


def run(cluster, options):
    restart_without_etcd(cluster)
    grow(cluster)
    grow_and_die(cluster)
    lose_the_keeper(cluster)
    lose_the_connection(cluster)
    export_again(cluster)
    attach_at_once(cluster)
    die_while_detaching(cluster)
    come_back_too_late(cluster)
    first = cluster.nodes[0]
    cluster.wait_in_sync(VOLUME, 2)
    say(first.cleat("volume", "check", VOLUME, seconds=600).strip())


if __name__ == "__main__":
    sys.exit(main(run, __doc__, pool_size="2Gi"))
