"""What the drill plays on: two volumes, two Cassandras; how each is put up, moved, put away."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from drill_lib import proof
from drill_lib.iostat import Attachment
from drill_lib.nodes import LOST, SURVIVOR, TAKEOVER
from drill_lib.process import DrillError, attempt, say, wait_until

from .cassandra import LAB, Cassandra, Site
from .cluster import Cluster, Volumes

SURVIVOR_VOLUME, MOVED_VOLUME = "cassandra-data-0", "cassandra-data-1"
REPLICAS = {SURVIVOR_VOLUME: (SURVIVOR, TAKEOVER), MOVED_VOLUME: (LOST, TAKEOVER)}
VOLUME_GIB = 10
# Why not to delay the allocation of blocks: see README.md.
MOUNT_OPTIONS = {"ext4": "nodelalloc", "xfs": "rw"}
DATA = "/run/cassandra_data"  # /run is the node's own; the rest of / is the machine's

START_SECONDS = 300
CQLSH_SECONDS = 60
EQUAL_SECONDS = 180


@dataclass(frozen=True, kw_only=True)
class Options(proof.Options):
    fs: str  # ext4 or xfs
    dist: Path  # what `prepare` built

    def python(self) -> str:
        return str(self.dist / "venv" / "bin" / "python")


class Scene:
    def __init__(self, options: Options, cluster: Cluster) -> None:
        self.cluster = cluster
        self.volumes = Volumes(cluster)
        self.seed = cluster.address(SURVIVOR)
        self.attachments: list[Attachment] = []
        site = Site(cluster, options.dist, options.out / "cassandra", DATA, self.seed)
        self.survivor = Cassandra(site, SURVIVOR, SURVIVOR_VOLUME)
        self.lost = Cassandra(site, LOST, MOVED_VOLUME)
        self.moved = Cassandra(site, TAKEOVER, MOVED_VOLUME)
        self._options = options
        self._created: list[str] = []
        self._mounted: dict[str, str] = {}  # volume -> node
        self._attached: dict[str, str] = {}
        self._node_is_away = False
        self._old_ended = False

    # Up

    def set_up(self) -> None:
        """Both volumes, both Cassandras, keyspace and table."""
        places = ((SURVIVOR_VOLUME, self.survivor, SURVIVOR), (MOVED_VOLUME, self.lost, LOST))
        for volume, cassandra, node in places:
            replicas = REPLICAS[volume]
            where = " and ".join(replicas)
            say(f"{volume}: {VOLUME_GIB} GiB, {self._options.fs}, replicas on {where}")
            self.volumes.create(node, volume, VOLUME_GIB, self._options.fs, replicas)
            self._created.append(volume)
            self.attach(volume, node, force=False)
            self.mount(volume, node)
            say(f"starting Cassandra on {node}")
            cassandra.start()
            cassandra.wait_ready(START_SECONDS)
        python, cqlsh, schema = self._options.python(), str(LAB / "cqlsh"), str(LAB / "schema.cql")
        self.cluster.run(SURVIVOR, [python, cqlsh, self.seed, "-f", schema], CQLSH_SECONDS)

    def attach(self, volume: str, node: str, force: bool) -> None:
        device = self.volumes.attach(node, volume, force)
        since = time.time()
        self._attached[volume] = node
        kernel_name = Path(self.cluster.run(node, ["readlink", "-f", device]).strip()).name
        self.attachments.append(Attachment(volume, node, kernel_name, since))

    def mount(self, volume: str, node: str) -> None:
        self.cluster.run(node, ["mkdir", "-p", DATA])
        self.volumes.mount(node, volume, DATA, MOUNT_OPTIONS[self._options.fs])
        self._mounted[volume] = node

    def lose(self) -> None:
        """Takes Cassandra and volume off the node that is lost, in the way the options say."""
        if self._options.how == "drain":
            self.lost.tool("drain")
            self.lost.stop()
            self.volumes.unmount(LOST, MOVED_VOLUME, DATA)
            self.volumes.detach(LOST, MOVED_VOLUME)
        elif self._options.how == "crash":
            self.cluster.crash(LOST)
            self.lost.gone()
        else:
            self.cluster.isolate(LOST)
        self.attachments[-1].until = time.time()
        del self._mounted[MOVED_VOLUME], self._attached[MOVED_VOLUME]
        self._node_is_away = self._options.how != "drain"

    # Down

    def end_cassandras(self) -> None:
        attempt(f"end Cassandra on {TAKEOVER}", self.moved.kill)
        attempt(f"end Cassandra on {SURVIVOR}", self.survivor.kill)
        self._old_ended = self._end_old()
        for volume, node in list(self._mounted.items()):
            attempt(f"unmount {volume}", self.volumes.unmount, node, volume, DATA)
            del self._mounted[volume]

    def _end_old(self) -> bool:
        if self._options.how != "isolate":
            return attempt(f"end Cassandra on {LOST}", self.lost.kill)
        try:
            self.lost.kill()
        except DrillError:
            say(f"Cassandra on {LOST} can't end: its I/O waits, as it must while it is cut off")
            return False
        return True

    def bring_node_back(self) -> None:
        if not self._node_is_away:
            return
        say(f"bringing {LOST} back")
        if self._options.how == "crash":
            attempt(f"start {LOST}", self.cluster.start, LOST)
            self._node_is_away = False
            return
        # What the cut-off node still has mounted is the volume of before the takeover: dead.
        unmount = ["umount", "-l", DATA]
        attempt(f"unmount on {LOST}", partial(self.cluster.run, LOST, unmount))
        if not self._old_ended:
            # Two members with one identity must never meet: the cut may end only after the old one.
            attempt(f"crash {LOST}", self.cluster.crash, LOST)
            attempt(f"start {LOST}", self.cluster.start, LOST)
        attempt(f"heal {LOST}", self.cluster.heal, LOST)
        self._node_is_away = False

    def wait_replicas_equal(self) -> float:
        """Seconds until the replicas of both volumes, each read alone, were equal."""
        began = time.time()
        for volume in self._created:
            what = f"replicas of {volume} equal"
            wait_until(what, EQUAL_SECONDS, partial(self._equal, volume), every=1.0)
        return time.time() - began

    def remove_volumes(self) -> None:
        for volume, node in list(self._attached.items()):
            attempt(f"detach {volume}", self.volumes.detach, node, volume)
            del self._attached[volume]
        for volume in list(self._created):
            attempt(f"delete {volume}", self.volumes.delete, SURVIVOR, volume)
            self._created.remove(volume)

    def _equal(self, volume: str) -> bool:
        try:
            self.volumes.check(SURVIVOR, volume)
        except DrillError:
            return False
        return True
