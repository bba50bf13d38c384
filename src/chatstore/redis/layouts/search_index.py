"""What a search index says of the records that it covers: asked of the server by `FT.INFO`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from redis.exceptions import NoPermissionError, RedisError, ResponseError

from chatstore.errors import ConfigurationError
from chatstore.redis.client import Client, our_error
from chatstore.redis.layouts.vectors import NumberType

_ASK = "return redis.pcall('FT.INFO', ARGV[1])"
"""In a script, because what it gives is the same then, whatever protocol the connection speaks."""

_ASK_KEYS = "return redis.pcall('FT.SEARCH', ARGV[1], '*', 'NOCONTENT', 'LIMIT', '0', ARGV[2])"

_DEFAULT_SEPARATOR = ","


@dataclass(frozen=True, slots=True)
class IndexedField:
    """A field that an index covers.

    Attributes:
        name: The field of a hash; of a JSON document its member, without the `$.` before it.
        kind: `TEXT`, `TAG`, `NUMERIC`, `GEO`, `GEOSHAPE` or `VECTOR`.
        separator: What stands between the tags of a `TAG`.
        numbers: Of a `VECTOR`, how its numbers are kept; None for a type that chatstore does not know.
        dimension: Of a `VECTOR`, how many numbers it has.
    """

    name: str
    kind: str
    separator: str = _DEFAULT_SEPARATOR
    numbers: NumberType | None = None
    dimension: int | None = None


@dataclass(frozen=True, slots=True)
class SearchIndex:
    """An index.

    Attributes:
        name: Its name.
        is_json: Whether it covers JSON documents, and not hashes.
        prefixes: What the keys of its records begin with.
        fields: The fields that it covers, by name.
    """

    name: str
    is_json: bool
    prefixes: tuple[str, ...]
    fields: Mapping[str, IndexedField] = field(default_factory=dict)

    def of_kind(self, *kinds: str) -> list[IndexedField]:
        """Return the fields of some kinds, in the index's order."""
        return [one for one in self.fields.values() if one.kind in kinds]


async def ask_for_index(client: Client, name: str) -> SearchIndex | None:
    """Return what the server says of an index; None when there is none of that name, or the server has no search.

    Raises:
        ConfigurationError: The server refuses to say.
    """
    [told] = await client.ask_all([("EVAL", _ASK, 0, name)])
    if not isinstance(told, RedisError):
        return _parsed(name, told)
    said = str(told)
    if isinstance(told, NoPermissionError) or said.startswith("ACL failure"):
        raise ConfigurationError(
            f"the Redis user may not ask for the search index {name!r}: allow it +eval and +ft.info ({said})"
        ) from told
    if isinstance(told, ResponseError):
        # No such index, or a server that knows no such command.
        return None
    raise our_error(told, client) from told


async def ask_for_keys(client: Client, name: str, wanted: int) -> list[bytes]:
    """Return the keys of some records that an index covers; none where the server does not say."""
    [told] = await client.ask_all([("EVAL", _ASK_KEYS, 0, name, wanted)])
    return [] if isinstance(told, RedisError) else list(told[1:])


def _parsed(name: str, told: Sequence[object]) -> SearchIndex:
    info = _pairs(told)
    definition = _pairs(info.get("index_definition"))
    prefixes = definition.get("prefixes")
    fields = [_field(one) for one in _list(info.get("attributes"))]
    return SearchIndex(
        name=name,
        is_json=definition.get("key_type") == "JSON",
        prefixes=tuple(_text(one) for one in _list(prefixes)),
        fields={one.name: one for one in fields},
    )


def _field(told: object) -> IndexedField:
    about = _pairs(told)
    numbers, dimension = about.get("data_type"), about.get("dim")
    return IndexedField(
        name=_text(about.get("identifier")).removeprefix("$."),
        kind=_text(about.get("type")).upper(),
        separator=_text(about.get("SEPARATOR")) or _DEFAULT_SEPARATOR,
        numbers=NumberType(numbers) if isinstance(numbers, str) and numbers in set(NumberType) else None,
        dimension=int(dimension) if isinstance(dimension, int | str) and str(dimension).isdigit() else None,
    )


def _pairs(flat: object) -> dict[str, object]:
    items = _list(flat)
    # Flags without a value, `SORTABLE` say, stand at the end: a name that is followed by none is dropped.
    return {_text(items[i]): _plain(items[i + 1]) for i in range(0, len(items) - 1, 2)}


def _list(value: object) -> Sequence[object]:
    return value if isinstance(value, list | tuple) else ()


def _plain(value: object) -> object:
    return _text(value) if isinstance(value, bytes) else value


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return value if isinstance(value, str) else ""
