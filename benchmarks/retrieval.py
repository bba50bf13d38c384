"""What becomes of the answers to searches: how good they are before and after a move from Redis to Chroma.

    python -m benchmarks.retrieval [EVERY]

Cranfield 1400 is a collection that people judged: 1,398 abstracts and 225 questions, with a grade for each abstract
that answers one (benchmarks/data/README.md). Every third question is asked, or with a number N behind the command every
Nth one, so that 1 asks all. The abstracts are one user's, with embeddings of 256 numbers by a small model that runs
offline. They lie in a real Redis, as an app or its framework writes them: in the layout `hash`, in `langchain-redis`
under an HNSW index of RediSearch. There all embeddings have the length 1, as most models make them. In `hash` they are
then given other lengths: those that this model itself makes, and lengths that are spread evenly from 1 to 3, which is a
hard case. chatstore moves them to a real Chroma (backfill and verify), and the same router is asked before, at `off`,
and after, at `complete`, for ten matches and for a hundred. A fifth of the questions is asked at `shadow` and `live`,
too, where the router itself compares.

nDCG@10 says how well the first ten matches are ordered; recall@10 and recall@100 which share of what is of interest is
among them. They are as trec_eval computes them. Beside them stand an exact search by numpy, which looks at every
embedding, and the search that the app had itself, by `FT.SEARCH`. overlap@k is the share of k matches that two answers
have in common.

What it means: **with embeddings of one length, the answers that your users get stay as good as they were, and are
nearly all the same.** chatstore searches Redis by looking at every embedding, so it finds there what an exact search
finds. Chroma's index is approximate: chatstore asks it for more candidates than are wanted, and ranks these by their
similarity; what it misses all the same is in the rows with overlap@k, and differs from one building of the index to the
next. Where something is missed, the measures may as well get better as worse. With embeddings of different lengths
chatstore asks from several lengths; Chroma's index then has now and then a document that no search of it reaches, not
even one by its own embedding: the verify tells them, as differences of the field `index`. In a much larger collection
than this more may be missed. Your own shadow reads tell it of your own searches ([the guide](guide.md#6-shadow)).
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import TypeAlias

import orjson
from openfeature import api
from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider

import chatstore
from benchmarks.cranfield import Collection, Query, load
from benchmarks.documents import chroma_server, fill
from benchmarks.ledgers import server as redis_server
from benchmarks.ranking import Measure, mean, ndcg, recall, shared
from benchmarks.results import Row, show
from chatstore.migration import BackfillOptions, backfill_documents, verify_documents
from chatstore.models import Document, Embedding, Kind, Stage
from chatstore.redis import Client, RedisProgress, connect
from chatstore.routing import FLAGS, DocumentRouter, ShadowCounts, document_repairer
from chatstore.settings import load_settings

USER = "reader"
EVERY = 3
DEPTHS = (10, 100)
MEASURES: Mapping[str, tuple[Measure, int]] = {
    "nDCG@10": (ndcg, 10),
    "recall@10": (recall, 10),
    "recall@100": (recall, 100),
}
_EQUAL = 0.999
"""Of a share: what rounding to three digits leaves."""
_BATCH = 100
_KEY = "abstracts"
_DOMAIN = "benchmark-retrieval"

Rankings: TypeAlias = "Mapping[str, Sequence[str]]"
"""Of each question, the ids that were found, the best first."""


@dataclass(frozen=True, slots=True)
class App:
    """An app with documents in Redis.

    Attributes:
        name: For the table.
        layout: How they lie there.
        server: Runs the Redis.
        fill: Writes them.
        own: The search that the app has without chatstore; None where it has none.
        lengths: How long its embeddings are, at least and at most; None for what the model makes.
    """

    name: str
    layout: str
    server: Callable[[], AbstractAsyncContextManager[str]]
    fill: Callable[[Client, Sequence[Document]], Awaitable[None]]
    own: Callable[[Client, Embedding, int], Awaitable[Sequence[str]]] | None = None
    lengths: tuple[float, float] | None = (1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Found:
    """What was found in one app's documents, by how many matches were asked for.

    Attributes:
        exact: By looking at every embedding.
        own: By the app's own search; empty where it has none.
        before: By chatstore, at `off`.
        after: By chatstore, at `complete`.
        compared: What the shadow reads came to, by stage.
        out_of_reach: How many documents Chroma's index does not find by their own embeddings, as the verify says.
    """

    exact: Mapping[int, Rankings]
    own: Mapping[int, Rankings]
    before: Mapping[int, Rankings]
    after: Mapping[int, Rankings]
    compared: Mapping[Stage, ShadowCounts]
    out_of_reach: int


async def ask(app: App, collection: Collection) -> Found:
    """Move an app's documents, and ask the questions on the way."""
    exact = collection.exact(max(DEPTHS))
    own: dict[int, Rankings] = {}
    async with app.server() as url, connect(url) as client:
        await app.fill(client, collection.documents)
        if app.own is not None:
            for k in DEPTHS:
                own[k] = {query.id: await app.own(client, query.embedding, k) for query in collection.queries}
        with chroma_server() as chroma:
            is_indexed = app.own is not None
            settings = load_settings(
                _env_file=None,
                redis_url=url,
                chroma_url=chroma,
                document_layout=app.layout,
                document_index=_KEY if is_indexed else None,
                document_owners=f"all:{USER}" if is_indexed else None,
            )
            async with _at(Stage.OFF), chatstore.open(settings, flags=_DOMAIN, repair=False) as stores:
                router = stores.documents
                if not isinstance(router, DocumentRouter):
                    raise TypeError("the settings name both sides, so there is a router")
                # Every embedding is looked at for the most, and for fewer these are the first of them.
                most = await _ask_all(router, collection.queries, max(DEPTHS))
                before = {k: {name: ids[:k] for name, ids in most.items()} for k in DEPTHS}
                async with _at(Stage.DUALWRITE):
                    out_of_reach = await _migrate(client, router, len(collection.documents))
                compared = {}
                for stage in (Stage.SHADOW, Stage.LIVE):
                    async with _at(stage):
                        compared[stage] = await _compared(router, collection.every(5).queries)
                async with _at(Stage.COMPLETE):
                    after = {k: await _ask_all(router, collection.queries, k) for k in DEPTHS}
                if (served := stores.stages_of(USER)[Kind.DOCUMENTS]).stage is not Stage.COMPLETE:
                    raise AssertionError(f"{served.stage} was served: {served.why}")
    exact_by_depth = {k: {name: ids[:k] for name, ids in exact.items()} for k in DEPTHS}
    return Found(exact_by_depth, own, before, after, compared, out_of_reach)


@asynccontextmanager
async def _at(stage: Stage) -> AsyncIterator[None]:
    flag = InMemoryFlag("on", {"on": stage.value})
    api.set_provider_and_wait(InMemoryProvider({FLAGS[Kind.DOCUMENTS]: flag}), _DOMAIN)
    yield


async def _migrate(client: Client, router: DocumentRouter, expected: int) -> int:
    """Copy and verify; return how many documents Chroma holds, and its index does not find by their own embeddings."""
    sides, progress = router.sides, RedisProgress(client, Kind.DOCUMENTS)
    repair = document_repairer(sides, progress=progress).run
    options = BackfillOptions(settle_seconds=0)
    report = await backfill_documents(sides.old, sides.new, progress, repair=repair, options=options)
    if report.copied.documents != expected:
        raise AssertionError(f"{report.copied.documents} of {expected} documents were copied")
    verified = await verify_documents(sides.old, sides.new, progress, repair=repair)
    if any(difference.field != "index" for difference in verified.differences):
        raise AssertionError("the sides differ")
    return verified.difference_count


async def _ask_all(router: DocumentRouter, queries: Sequence[Query], k: int) -> Rankings:
    return {
        query.id: [match.document.id for match in await router.search(USER, query.embedding, k=k)] for query in queries
    }


async def _compared(router: DocumentRouter, queries: Sequence[Query]) -> ShadowCounts:
    router.shadow.counts = ShadowCounts()
    for query in queries:
        for k in DEPTHS:
            await router.search(USER, query.embedding, k=k)
        await router.shadow.drain()  # so that none is dropped: all are compared
    return router.shadow.counts


async def _fill_index(client: Client, documents: Sequence[Document]) -> None:
    """Write documents as langchain-redis does, under an index of RediSearch."""
    vector = ("embedding", "VECTOR", "HNSW", 6, "TYPE", "FLOAT32", "DIM", 256, "DISTANCE_METRIC", "COSINE")
    await client.ask("FT.CREATE", _KEY, "ON", "HASH", "PREFIX", 1, f"{_KEY}:", "SCHEMA", "text", "TEXT", *vector)
    for start in range(0, len(documents), _BATCH):  # the index takes its time for each
        await client.ask_all([_hset(document) for document in documents[start : start + _BATCH]])


def _hset(document: Document) -> list[str | bytes]:
    said: list[str | bytes] = [
        "text",
        document.text,
        "_index_name",
        _KEY,
        "_metadata_json",
        orjson.dumps(document.metadata),
    ]
    return ["HSET", f"{_KEY}:{document.id}", *said, "embedding", (document.embedding or Embedding(b"")).data]


async def _by_index(client: Client, query: Embedding, k: int) -> Sequence[str]:
    nearest = f"*=>[KNN {k} @embedding $query AS distance]"
    options = ("PARAMS", 2, "query", query.data, "SORTBY", "distance", "LIMIT", 0, k, "NOCONTENT", "DIALECT", 2)
    found = await client.ask("FT.SEARCH", _KEY, nearest, *options)
    return [hit[b"id"].decode().removeprefix(f"{_KEY}:") for hit in found[b"results"]]


@asynccontextmanager
async def _search_redis() -> AsyncIterator[str]:
    """Run the Redis 8 with search that the tests have as well."""
    from tests.servers.search_redis import running_search_redis  # noqa: PLC0415 - its packages are for some machines

    with running_search_redis() as server:
        yield server.url


APPS = (
    App("`hash`", "hash", redis_server, fill),
    App("`langchain-redis`", "langchain-redis", _search_redis, _fill_index, _by_index),
    App("`hash`, the model's lengths", "hash", redis_server, fill, lengths=None),
    App("`hash`, lengths from 1 to 3", "hash", redis_server, fill, lengths=(1.0, 3.0)),
)


def rows_of(app: App, found: Found, queries: Sequence[Query]) -> Iterator[Row]:
    """Yield the comparisons of one app."""
    target = _EQUAL if app.lengths == (1.0, 1.0) else None
    for name, (measure, k) in MEASURES.items():

        def of(rankings: Mapping[int, Rankings], measure: Measure = measure, k: int = k) -> float:
            return mean([measure(rankings[k][query.id], query.grades, k) for query in queries])

        after = of(found.after)
        besides = {"before: chatstore on Redis": of(found.before)}
        if found.own:
            besides["before: the app's own `FT.SEARCH`"] = of(found.own)
        besides["exact search"] = of(found.exact)
        for beside, value in besides.items():
            at_least = None if "own" in beside else target  # that is approximate, too
            yield Row(f"{name}, {app.name}", f"{after:.4f}", f"{beside}: {value:.4f}", after / value, at_least=at_least)
    for k in DEPTHS:
        answers = {"before: chatstore on Redis": found.before}
        if found.own:
            answers["before: the app's own `FT.SEARCH`"] = found.own
        values = {
            name: mean([shared(found.exact[k][query.id], answer[k][query.id], k) for query in queries])
            for name, answer in {"after": found.after, **answers}.items()
        }
        for name in answers:
            work, ratio = f"overlap@{k} with exact search, {app.name}", values["after"] / values[name]
            at_least = None if "own" in name else target
            yield Row(work, f"{values['after']:.4f}", f"{name}: {values[name]:.4f}", ratio, at_least=at_least)
    for stage, counts in found.compared.items():
        made = counts.equal + counts.mismatched + counts.pending + counts.failed
        yield Row(
            f"shadow reads at `{stage}`, {app.name}",
            f"{counts.equal} equal, {counts.mismatched} mismatches, {counts.pending + counts.failed} not in time"
            + ("" if counts.overlap is None else f"; {_agreement(counts)}"),
            f"{made} searches",
            counts.equal / made,
            at_least=None if target is None else 1,
        )


def _agreement(counts: ShadowCounts) -> str:
    overlap = f"mean overlap {counts.overlap:.4f}, least {counts.least_overlap:.2f}"
    return f"{overlap}; scores differ by up to {counts.score_difference:.1g}"


def measure(every: int = EVERY) -> list[Row]:
    """Return the comparisons of each app, by every third question or every Nth."""
    collection, rows = load(USER).every(every), list[Row]()
    for app in APPS:
        documents = collection if app.lengths is None else collection.of_lengths(*app.lengths)
        rows += rows_of(app, asyncio.run(ask(app, documents)), documents.queries)
    return rows


if __name__ == "__main__":
    show(measure(*map(int, sys.argv[1:])))
