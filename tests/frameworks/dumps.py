"""What a framework left in Redis, as a file that can be read without it: raw values, and the commands that made the indexes.

`python -m tests.frameworks dump` writes the files in `dumps/`; `load` reads one, `Dump.restore` puts it into a Redis.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import shlex
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

FOLDER = Path(__file__).parent / "dumps"
_JSON = "ReJSON-RL"
_QUANTISATION = {"f32": "NOQUANT", "int8": "Q8", "bin": "BIN"}

# What differs from run to run.
_VOLATILE = [
    (re.compile(r"\b[0-7][0-9A-HJKMNP-TV-Z]{25}\b"), "<ulid>"),
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "<uuid>"),
    (re.compile(r"\b[0-9a-f]{32}\b"), "<hex>"),
    (re.compile(r"\b1[6-9]\d{8}\.\d+:[0-9a-f]{8}\b"), "<time>:<hex>"),
    (re.compile(r"\b1[6-9]\d{8}\.\d+\b"), "<float seconds>"),
    (re.compile(r"\b1[6-9]\d{11}\b"), "<milliseconds>"),
    (re.compile(r"\b1[6-9]\d{8}\b"), "<seconds>"),
]


@dataclass(frozen=True)
class Key:
    """One key.

    Attributes:
        key: Its name.
        kind: Its type, as `TYPE` says it.
        ttl: How many seconds it was to live, up to the next ten, as some pass until one looks; None for ever.
        value: Bytes of a string or of a JSON document; a list of bytes; a dict of bytes of a hash; a dict of member to score of
            a sorted set; of a vector set a dict with `quantisation` (as `VINFO` says it), `dimensions` and `elements`: name,
            `vector` (`VEMB`), `raw` (`VEMB … RAW`) and `attributes`.
    """

    key: bytes
    kind: str
    ttl: int | None
    value: Any


@dataclass(frozen=True)
class Dump:
    """All that a scenario left behind.

    Attributes:
        keys: The keys, sorted.
        indexes: The `FT.CREATE` commands that the framework sent.
        packages: The versions of what wrote it.
    """

    keys: list[Key]
    indexes: list[list[str]]
    packages: dict[str, str] = field(default_factory=dict)

    def restore(self, client: redis.Redis) -> None:
        """Write it into a Redis, indexes first. A vector set gets the vectors that `VEMB` gave, without a projection."""
        for command in self.indexes:
            client.execute_command(*command)
        for each in self.keys:
            _restore(client, each)
            if each.ttl is not None:
                client.expire(each.key, each.ttl)

    def like(self) -> Any:
        """Return it with all that differs from run to run (ids, times) blotted out, to be compared."""
        shown = blotted(_encode(self))
        return {"indexes": shown["indexes"], "keys": sorted(shown["keys"], key=json.dumps)}


def load(name: str) -> Dump:
    """Read a dump of `dumps/` by its name."""
    raw = json.loads((FOLDER / f"{name}.json").read_bytes())
    keys = [
        Key(_bytes(each["key"]), each["type"], each["ttl"], _decoded(each["type"], each["value"]))
        for each in raw["keys"]
    ]
    return Dump(keys, [shlex.split(command) for command in raw["indexes"]], raw["packages"])


def save(name: str, dump: Dump) -> None:
    """Write a dump to `dumps/`."""
    FOLDER.mkdir(exist_ok=True)
    text = json.dumps(_encode(dump), ensure_ascii=False, indent=1)
    (FOLDER / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def connect(url: str) -> redis.Redis:
    """Return a client for `take` and `Dump.restore`: one that waits, for `take` watches for as long as a framework needs."""
    return redis.Redis.from_url(url, protocol=2, socket_timeout=None)


def take(client: redis.Redis, write: Callable[[], dict[str, str]]) -> Dump:
    """Let something write into an empty Redis and return what it left there.

    Args:
        client: What `connect` gives.
        write: Writes, and returns the versions of what wrote.
    """
    with _commands(client, "FT.CREATE") as indexes:
        packages = write()
    return Dump([_key(client, name) for name in sorted(client.scan_iter(count=1000))], indexes, packages)


@contextmanager
def _commands(client: redis.Redis, wanted: str) -> Iterator[list[list[str]]]:
    """Note all commands of one name that the server gets meanwhile."""
    seen: list[list[str]] = []
    end = secrets.token_hex(8)
    with client.monitor() as monitor:

        def watch() -> None:
            while True:
                command = monitor.next_command()["command"]
                if end in command:
                    return
                if command.upper().startswith(wanted):
                    seen.append(shlex.split(command))

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            yield seen
        finally:
            client.echo(end)
            watcher.join()


def _key(client: redis.Redis, name: bytes) -> Key:
    kind = client.type(name).decode()
    left = client.pttl(name)
    return Key(name, kind, None if left < 0 else 10 * -(-left // 10_000), _value(client, name, kind))


def _value(client: redis.Redis, name: bytes, kind: str) -> Any:
    if kind == "string":
        return client.get(name)
    if kind == "list":
        return client.lrange(name, 0, -1)
    if kind == "hash":
        return dict(sorted(client.hgetall(name).items()))
    if kind == "zset":
        return dict(client.zrange(name, 0, -1, withscores=True))
    if kind == _JSON:
        return client.execute_command("JSON.GET", name)
    if kind == "vectorset":
        return _vector_set(client, name)
    raise ValueError(f"{name!r} is a {kind}, which no dump was made of so far")


def _vector_set(client: redis.Redis, name: bytes) -> dict[str, Any]:
    facts = client.execute_command("VINFO", name)
    told = {facts[place].decode(): facts[place + 1] for place in range(0, len(facts), 2)}
    names = sorted(client.execute_command("VRANDMEMBER", name, told["size"]))
    elements = []
    for each in names:
        kind, raw, *numbers = client.execute_command("VEMB", name, each, "RAW")
        elements.append(
            {
                "name": each,
                "vector": [float(number) for number in client.execute_command("VEMB", name, each)],
                "raw": [kind, raw, *(float(number) for number in numbers)],
                "attributes": client.execute_command("VGETATTR", name, each),
            }
        )
    return {"quantisation": told["quant-type"].decode(), "dimensions": told["vector-dim"], "elements": elements}


def _restore(client: redis.Redis, each: Key) -> None:
    if each.kind == "string":
        client.set(each.key, each.value)
    elif each.kind == "list":
        client.rpush(each.key, *each.value)
    elif each.kind == "hash":
        client.hset(each.key, mapping=each.value)
    elif each.kind == "zset":
        client.zadd(each.key, each.value)
    elif each.kind == _JSON:
        client.execute_command("JSON.SET", each.key, "$", each.value)
    else:
        how = _QUANTISATION[each.value["quantisation"]]
        for element in each.value["elements"]:
            # Of a binary set `VEMB` gives signs only; what it keeps beside them is the length.
            size = element["raw"][2] / len(element["vector"]) ** 0.5 if how == "BIN" else 1
            vector = ["VALUES", len(element["vector"]), *(repr(number * size) for number in element["vector"])]
            client.execute_command("VADD", each.key, *vector, element["name"], how)
            if element["attributes"] is not None:
                client.execute_command("VSETATTR", each.key, element["name"], element["attributes"])


def _encode(dump: Dump) -> dict[str, Any]:
    keys = [
        {"key": _shown(each.key), "type": each.kind, "ttl": each.ttl, "value": _shown(each.value)} for each in dump.keys
    ]
    return {"packages": dump.packages, "indexes": [shlex.join(command) for command in dump.indexes], "keys": keys}


def _shown(value: Any) -> Any:
    """Show bytes as text where they are UTF-8, else as {"base64": …}."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, list):
        return [_shown(each) for each in value]
    if isinstance(value, dict):
        return {_shown(name): _shown(each) for name, each in value.items()}
    return value


def _decoded(kind: str, value: Any) -> Any:
    if kind == "list":
        return [_bytes(each) for each in value]
    if kind == "hash":
        return {name.encode(): _bytes(each) for name, each in value.items()}
    if kind == "zset":
        return {name.encode(): score for name, score in value.items()}
    if kind == "vectorset":
        elements = [
            {
                "name": _bytes(each["name"]),
                "vector": each["vector"],
                "raw": [_bytes(each["raw"][0]), _bytes(each["raw"][1]), *each["raw"][2:]],
                "attributes": None if each["attributes"] is None else _bytes(each["attributes"]),
            }
            for each in value["elements"]
        ]
        return {**value, "elements": elements}
    return _bytes(value)


def _bytes(shown: Any) -> bytes:
    return base64.b64decode(shown["base64"]) if isinstance(shown, dict) else shown.encode()


def blotted(value: Any) -> Any:
    """Return what JSON can hold with ids and times blotted out: all that differs from run to run."""
    if isinstance(value, str):
        for pattern, instead in _VOLATILE:
            value = pattern.sub(instead, value)
        return value
    if isinstance(value, list):
        return [blotted(each) for each in value]
    if isinstance(value, dict):
        return {blotted(name): blotted(each) for name, each in value.items()}
    return value
