"""Documents from Redis to Chroma: the backfill, the verify, a second run, and the way back, beside Chroma's own limit.

    python -m benchmarks.documents [DOCUMENTS] [DIMENSION ...]

Everything runs on this machine: a Valkey with the layout `hash`, filled as an app does it (embeddings are JSON there),
and a new Chroma server for each run that writes into one. All runs of one dimension write the same documents.

Raw upserts are what the backfill is held against: arrays that were prepared before the clock starts, in batches of
about the same size, by one, two and four threads at a time, the fastest of which counts. They write the records that
the backfill writes, with chatstore's own metadata, and once without these: an app's documents as one would write them
without chatstore. They end with a count and a search, as the backfill does, so whatever Chroma has not put into its
index by then is waited for.
"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
import orjson
from chromadb.config import Settings

from benchmarks.ledgers import server as redis_server
from benchmarks.results import Row, per_second, show
from chatstore.chroma import ChromaClient, ChromaDocuments
from chatstore.chroma.metadata import encode
from chatstore.chroma.records import columns_of
from chatstore.interfaces import DocumentSide
from chatstore.local import ports
from chatstore.local.chroma import Chroma
from chatstore.local.state import StateFile
from chatstore.migration import BackfillOptions, backfill_documents, verify_documents
from chatstore.models import Document, Embedding, Kind, from_micros
from chatstore.redis import Client, RedisDocuments, RedisProgress, connect, document_layout
from chatstore.routing import Sides, document_repairer

USER = "alice"
BATCH = 1000
DIMENSIONS = (384, 1536)
_SEED = 7
_MILLIS = 1_760_000_000_000
_WORDS = re.findall(
    r"\w+",
    "the a of and to in is was for that with on as by from an be this which or are at it not have were has but "
    "pressure flow boundary layer wing heat transfer mach number shock wave velocity surface theory results method "
    "temperature laminar turbulent supersonic plate cylinder angle attack body ratio distribution experimental "
    "solution equations problem analysis effect case given found obtained shown present over between high low",
)


def documents_of(count: int, dimension: int) -> list[Document]:
    """Return documents with unit vectors and texts of some 100 words; the same ones each time.

    Their ids are in no order, as those of most apps: Chroma's indexes take an ascending order faster, and a scan of
    Redis has none.
    """
    random = np.random.default_rng(_SEED)
    vectors = random.standard_normal((count, dimension), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    names = [random.bytes(12).hex() for _ in range(count)]
    texts = [" ".join(_WORDS[at] for at in random.integers(0, len(_WORDS), 100)) for _ in range(count)]
    return [
        Document(
            id=names[number],
            user_id=USER,
            text=texts[number],
            embedding=Embedding(vectors[number].tobytes()),
            title=f"Document {names[number][:8]}",
            url=f"https://example.org/{names[number]}",
            metadata={"source": "handbook", "page": number % 300},
            created_at=from_micros((_MILLIS + number) * 1000),
            updated_at=from_micros((_MILLIS + number) * 1000),
            version=(_MILLIS + number) * 1000,
        )
        for number in range(count)
    ]


async def fill(client: Client, documents: Sequence[Document]) -> None:
    """Write documents as an app does that knows nothing of chatstore."""
    for start in range(0, len(documents), BATCH):
        await client.ask_all([_hset(document) for document in documents[start : start + BATCH]])


def _hset(document: Document) -> list[Any]:
    fields = {
        "title": document.title,
        "content": document.text,
        "url": document.url,
        "userId": document.user_id,
        "embedding": orjson.dumps(list(document.embedding or ())),
        "metadata": orjson.dumps(document.metadata),
        "createdAt": int(document.created_at.timestamp() * 1000),
        "updatedAt": int(document.updated_at.timestamp() * 1000),
    }
    return ["HSET", f"document:{document.id}", *(part for pair in fields.items() for part in pair)]


@contextmanager
def chroma_server() -> Iterator[str]:
    """Run a Chroma server with nothing in it."""
    with tempfile.TemporaryDirectory(prefix="chatstore-benchmark-") as folder:
        state = StateFile(Path(folder))
        (state.folder / "logs").mkdir()
        state.set_port(Chroma.name, ports.free_port())
        chroma = Chroma(state)
        chroma.start(may_move=True)
        try:
            yield chroma.url
        finally:
            chroma.stop()


def raw(documents: Sequence[Document], *, threads: int, plain: bool = False) -> float:
    """Return how many prepared documents a second Chroma takes."""
    with chroma_server() as url:
        client = chromadb.HttpClient(host=url, settings=Settings(anonymized_telemetry=False))
        collection = client.create_collection("raw", embedding_function=None, configuration={"hnsw": {"space": "l2"}})
        records = [encode(document, record_id=document.id) for document in documents]
        batches = []
        for start in range(0, len(records), BATCH):
            batch = columns_of(records[start : start + BATCH])
            if plain:
                batch["metadatas"] = [
                    {"title": doc.title, "url": doc.url, **doc.metadata} for doc in documents[start : start + BATCH]
                ]
            else:
                batch["metadatas"] = [{k: v for k, v in one.items() if v is not None} for one in batch["metadatas"]]
            batches.append(batch)
        started = time.perf_counter()
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda batch: collection.upsert(**batch), batches))
        if collection.count() != len(documents):
            raise AssertionError("Chroma did not take all documents")
        collection.query(query_embeddings=[batches[0]["embeddings"][0]], n_results=1)
        return len(documents) / (time.perf_counter() - started)


@asynccontextmanager
async def new_side() -> AsyncIterator[ChromaDocuments]:
    """Open the new side on a server of its own."""
    with chroma_server() as url:
        async with ChromaClient.server(url) as client:
            store = ChromaDocuments(client)
            # chromadb is imported and connected before the clock starts, as it is for `raw`.
            await store.count()
            yield store
            await store.close()


async def migrate(client: Client, documents: Sequence[Document]) -> dict[str, float]:
    """Return documents a second: of the backfill, the verify, a second backfill, and a backfill back."""
    rates: dict[str, float] = {}
    async with new_side() as new:
        old = RedisDocuments(client, document_layout("hash"))
        sides: Sides[DocumentSide] = Sides(old, new)
        progress = RedisProgress(client, Kind.DOCUMENTS)
        repairer = document_repairer(sides, progress=progress)
        options = BackfillOptions(settle_seconds=0)

        @contextmanager
        def timed(what: str) -> Iterator[None]:
            started = time.perf_counter()
            yield
            rates[what] = len(documents) / (time.perf_counter() - started)

        async def copy(source: DocumentSide, target: DocumentSide) -> None:
            report = await backfill_documents(source, target, progress, repair=repairer.run, options=options)
            seen = report.copied.documents + report.unchanged.documents
            if not report.complete or seen != len(documents):
                raise AssertionError(f"the backfill saw {seen} of {len(documents)} documents")

        with timed("backfill"):
            await copy(old, new)
            query = documents[0].embedding
            if await new.count() != len(documents) or query is None or not await new.search(USER, query, k=1):
                raise AssertionError("the new side lacks documents")
        with timed("verify"):
            verified = await verify_documents(old, new, progress, repair=repairer.run)
        if not verified.equal:
            raise AssertionError("the sides differ")
        with timed("second run"):
            await copy(old, new)
        await client.ask("FLUSHDB")
        with timed("reverse"):
            await copy(new, old)
        if await old.count() != len(documents):
            raise AssertionError("the old side lacks documents")
    return rates


def measure(count: int = 15_000) -> list[Row]:
    """Return the comparisons: of so many documents of 384 dimensions, and of fewer larger ones."""
    return [row for dimension in DIMENSIONS for row in rows(count * DIMENSIONS[0] // dimension, dimension)]


def rows(count: int, dimension: int) -> list[Row]:
    """Return the comparisons for one dimension."""
    documents = documents_of(count, dimension)
    by_threads = {threads: raw(documents, threads=threads) for threads in (1, 2, 4)}
    threads = max(by_threads, key=lambda number: by_threads[number])
    plain = raw(documents, threads=threads, plain=True)

    async def run() -> dict[str, float]:
        async with redis_server() as url, connect(url) as client:
            await fill(client, documents)
            return await migrate(client, documents)

    ours = asyncio.run(run())
    backfill = ours["backfill"]

    def row(work: str, done: float, beside: str, other: float, at_least: float | None) -> Row:
        what = f"{work}, {dimension} dimensions"
        return Row(what, _rate(done), f"{beside}: {_rate(other)}", done / other, at_least=at_least)

    upserts = f"raw upserts, {threads} at a time"
    return [
        row("documents backfill", backfill, upserts, by_threads[threads], 0.9),
        row("the same", backfill, f"{upserts}, without chatstore's metadata", plain, None),
        row("verify of documents", ours["verify"], "the backfill", backfill, 2),
        row("a second run with nothing to do", ours["second run"], "the first", backfill, 5),
        row("the way back, into an empty Redis", ours["reverse"], "the way there", backfill, 0.5),
    ]


def _rate(rate: float) -> str:
    return per_second(1, 1 / rate, "documents")


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:]]
    for length in numbers[1:] or DIMENSIONS:
        wanted = numbers[0] if numbers else 15_000 * DIMENSIONS[0] // length
        show(rows(wanted, length))
