"""One collection: opened when it is needed, made when it is written to, and opened again if somebody removed it."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from chatstore.chroma.client import ChromaClient
from chatstore.chroma.failures import TornReadError, torn_read
from chatstore.chroma.records import Record, columns_of, records_of
from chatstore.errors import ConfigurationError, NotFoundError, UnavailableError

T = TypeVar("T")

BATCH = 250
"""How many records a page of a walk has: with what a walk adds, below the 300 that Chroma Cloud allows."""

IDS: tuple[str, ...] = ()
METADATA = ("metadatas",)
WHOLE = ("metadatas", "documents", "embeddings")

_TORN_READ_PAUSES = (0.01, 0.05, 0.2, 0.5)
SPACE = "l2"
"""The distance of our collections. It is not `cosine`, because Chroma then keeps embeddings normalised: what comes back
is not what was stored. Searches are ranked by the cosine similarity nevertheless; see `search`."""

_LOOKED_AT = 400
"""How many records a search of the index looks at, at least. With Chroma's 100 it misses one of the best ten now and
then (`benchmarks.retrieval`)."""

_HANDLES = 1024

_SMALL = 50
"""Up to how many records are written without waiting for a turn, so that an app's own writes do not wait for a
migration's more than Chroma makes them."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """Between which two lengths vectors are."""

    least: float
    most: float


class Collection:
    """A collection by its name. Reads of one that does not exist find nothing and do not make it.

    Args:
        client: The database.
        name: Its name.
        about: The metadata that it gets when it is made.

    Attributes:
        lengths: Between which lengths its embeddings were found to be so far; None before anybody looked.
    """

    def __init__(self, client: ChromaClient, name: str, about: Mapping[str, str] | None = None) -> None:
        self.name = name
        self._client = client
        self._about = dict(about) if about else None
        self._handle: Any = None
        self._turns = WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock]()
        self.lengths: Lengths | None = None

    async def get(
        self,
        ids: Sequence[str] | None = None,
        *,
        where: Mapping[str, Any] | None = None,
        parts: tuple[str, ...] = METADATA,
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[Record]:
        """Return records, by ids in batches, or by a filter; those without either in the order of their first write."""
        if ids is None:
            return await self._get(ids=None, where=where, parts=parts, limit=limit, offset=offset)
        size = self._client.records
        batches = [list(ids[start : start + size]) for start in range(0, len(ids), size)]
        found = [await self._get(ids=batch, where=where, parts=parts, limit=None, offset=None) for batch in batches]
        return [record for batch in found for record in batch]

    async def query(
        self, vectors: Sequence[Any], *, count: int, where: Mapping[str, Any] | None, parts: tuple[str, ...]
    ) -> list[list[tuple[Record, float]]]:
        """Return, for each of some vectors, up to `count` records with their distances from it, the nearest first.

        Raises:
            InvalidRecordError: The records' embeddings have another dimension.
        """

        async def ask(handle: Any) -> list[list[tuple[Record, float]]]:
            answer = await self._client.run(
                handle.query,
                query_embeddings=list(vectors),
                n_results=count,
                where=where,
                include=[*parts, "distances"],
            )
            found = []
            for at, ids in enumerate(answer["ids"]):
                columns = (answer[part][at] if answer[part] is not None else None for part in WHOLE)
                found.append(list(zip(records_of(ids, *columns), answer["distances"][at], strict=True)))
            return found

        return await self._reading(ask, [[] for _ in vectors])

    async def count(self) -> int:
        """Return how many records there are."""

        async def ask(handle: Any) -> int:
            return int(await self._client.run(handle.count))

        return await self._reading(ask, 0)

    async def upsert(self, records: Sequence[Record]) -> None:
        """Write records, in batches. Each is written in one step; the metadata are added to what is there."""
        size = await self._batch(records)
        for start in range(0, len(records), size):
            part = records[start : start + size]
            async with self._turn(len(part)):
                await self._write(columns_of(part))

    async def delete(self, ids: Sequence[str], where: Mapping[str, Any] | None = None) -> None:
        """Remove records by their ids, with `where` only those that fit; those that are not there are passed over."""
        size = await self._batch(ids)
        for start in range(0, len(ids), size):
            await self._remove(list(ids[start : start + size]), where)

    def _turn(self, count: int) -> AbstractAsyncContextManager[None]:
        """Return what lets one large write at a time into the collection.

        A server of Chroma 1.5 takes several at once, but then loses, at times, how far its index is, and puts into it
        again what was written since the index was last saved: 3.5 times the work for three writers of 250 records each.
        """
        if count <= _SMALL:
            return nullcontext()
        # A loop each: a store may be used after a fork, in a loop of the child's.
        return self._turns.setdefault(asyncio.get_running_loop(), asyncio.Lock())

    async def _batch(self, items: Sequence[object]) -> int:
        return min(self._client.records, await self._client.batch_limit()) if items else BATCH

    async def _get(self, *, parts: tuple[str, ...], **arguments: Any) -> list[Record]:
        async def ask(handle: Any) -> list[Record]:
            answer = await self._client.run(handle.get, include=list(parts), **arguments)
            ids, embeddings = answer["ids"], answer["embeddings"]
            if embeddings is not None and len(embeddings) < len(ids):
                # Of a record whose write is under way, the metadata are there already and the embedding is not.
                raise torn_read(self._client.address)
            return records_of(ids, answer["metadatas"], answer["documents"], embeddings)

        return await self._reading(ask, [])

    async def _reading(self, ask: Callable[[Any], Awaitable[T]], absent: T) -> T:
        for pause in _TORN_READ_PAUSES:
            try:
                return await self._read(ask, absent)
            except TornReadError:
                await asyncio.sleep(pause)
        return await self._read(ask, absent)

    async def _read(self, ask: Callable[[Any], Awaitable[T]], absent: T) -> T:
        try:
            return await self._retrying(ask, self._opened)
        except NotFoundError:
            return absent

    async def _remove(self, ids: list[str], where: Mapping[str, Any] | None) -> None:
        async def ask(handle: Any) -> None:
            await self._client.run(handle.delete, ids=ids, where=where)

        await self._reading(ask, None)

    async def _write(self, columns: dict[str, Any]) -> None:
        async def ask(handle: Any) -> None:
            await self._client.run(handle.upsert, **columns)

        try:
            await self._retrying(ask, self._made)
        except NotFoundError as error:
            raise UnavailableError(
                f"the collection {self.name!r} is removed as fast as it is made: check who else uses this database"
            ) from error

    async def _retrying(self, ask: Callable[[Any], Awaitable[T]], opened: Callable[[], Awaitable[Any]]) -> T:
        """Run `ask`, once more if the handle turned out to be of a collection that was removed."""
        held = self._handle is not None
        try:
            return await ask(await opened())
        except NotFoundError:
            self._handle = None
            if not held:
                raise
        return await ask(await opened())

    async def _opened(self) -> Any:
        handle = self._handle
        if handle is None:
            handle = await self._client.call("get_collection", name=self.name, embedding_function=None)
            self._handle = handle = _trusted(handle)
        return handle

    async def _made(self) -> Any:
        handle = self._handle
        if handle is None:
            handle = await self._client.call(
                "get_or_create_collection",
                name=self.name,
                metadata=self._about,
                configuration={"hnsw": {"space": SPACE, "ef_search": _LOOKED_AT}},
                embedding_function=None,
            )
            self._handle = handle = _trusted(handle)
            # A server of Chroma 1.5 looks at a collection's log when it is read from for the first time; if there is
            # anything in it then that the index has and no file yet, it loses how far the index is (see `_turn`).
            await self._client.run(handle.get, limit=1, include=[])
        # Not what is held by now: a read that looked before the collection was made forgets that meanwhile.
        return handle


class Collections:
    """The collections of a database, each opened once; only those used last are kept."""

    def __init__(self, client: ChromaClient) -> None:
        self._client = client
        self._known: OrderedDict[str, Collection] = OrderedDict()

    def named(self, name: str, about: Mapping[str, str] | None = None) -> Collection:
        """Return a collection; whether it exists is not asked yet."""
        collection = self._known.pop(name, None) or Collection(self._client, name, about)
        self._known[name] = collection
        if len(self._known) > _HANDLES:
            self._known.popitem(last=False)
        return collection

    async def names(self, limit: int, offset: int) -> list[str]:
        """Return the names of some of the collections that exist, of any plan."""
        return [handle.name for handle in await self._client.call("list_collections", limit=limit, offset=offset)]


def _trusted(handle: Any) -> Any:
    """Return the handle if its collection is one that we can use, without what it would make embeddings by.

    chromadb (1.5.9) builds, at every upsert, the embedding functions that the collection's stored schema names, with
    the arguments that it names: some load a model then, some take a key from the environment, and one of a sparse index
    is called with the texts. Whoever may make collections must not decide that, and all embeddings are given here.

    Raises:
        ConfigurationError: Its configuration would run foreign code here (CVE-2026-45829), or it changes embeddings.
    """
    model = handle.get_model()
    described = json.dumps([model.configuration_json, getattr(model, "serialized_schema", None)], default=str)
    if "trust_remote_code" in described:
        raise ConfigurationError(
            f"the collection {handle.name!r} names an embedding function with trust_remote_code, which would run "
            f"somebody's code in this process: remove it, or use another collection"
        )
    space = (model.configuration_json.get("hnsw") or model.configuration_json.get("spann") or {}).get("space")
    if space == "cosine":
        raise ConfigurationError(
            f"the collection {handle.name!r} has the distance 'cosine', with which Chroma normalises embeddings: "
            f"they would not come back as they were. Copy it to one with the distance {SPACE!r}, or remove it"
        )
    model["serialized_schema"] = None
    model["configuration_json"] = {**model.configuration_json, "embedding_function": None}
    return handle
