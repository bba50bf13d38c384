"""Large writes into one collection cost the server no more than they must."""

import asyncio
import time

import numpy as np
import pytest

from chatstore.chroma.collection import Collections
from chatstore.chroma.records import Record
from chatstore.models import Embedding

RANDOM = np.random.default_rng(7)


def records(name, count):
    vectors = RANDOM.standard_normal((count, 64), dtype=np.float32)
    return [
        Record(id=f"{name}{at}", metadata={"name": name}, embedding=Embedding(vector.tobytes()))
        for at, vector in enumerate(vectors)
    ]


@pytest.fixture
def collection(server):
    return Collections(server).named("large")


async def test_a_read_between_two_writes_does_not_make_the_server_do_the_first_one_again(collection):
    """It would, and take longer for a tenth of the records, had nobody read before the first one."""
    begun = time.perf_counter()
    await collection.upsert(records("first", 900))
    first = time.perf_counter() - begun
    assert await collection.get(["first7"])
    begun = time.perf_counter()
    await collection.upsert(records("second", 90))
    assert time.perf_counter() - begun < first
    assert await collection.count() == 990


async def test_large_writes_are_made_one_after_another_and_small_ones_at_once(collection, server, monkeypatch):
    at_work, most, run = 0, 0, server.run

    async def counting(method, /, **arguments):
        nonlocal at_work, most
        if method.__name__ != "upsert":
            return await run(method, **arguments)
        at_work += 1
        most = max(most, at_work)
        try:
            return await run(method, **arguments)
        finally:
            at_work -= 1

    await collection.upsert(records("any", 1))
    monkeypatch.setattr(server, "run", counting)
    await asyncio.gather(*(collection.upsert(records(name, 60)) for name in "abc"))
    assert most == 1
    await asyncio.gather(*(collection.upsert(records(name, 1)) for name in "de"))
    assert most == 2
    assert await collection.count() == 183
