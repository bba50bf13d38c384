"""Documents of megabytes: a scan and a search read them one by one, so that memory is bounded."""

import asyncio
import json
import struct
import subprocess
import sys

import pytest

from chatstore.models import Embedding
from tests.redis.documents.conftest import OWNER

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how much a program needed at most")

DOCUMENTS, LARGE = 24, 4_000_000
ROOM = 60_000_000

READ = """
import asyncio, json, sys
from chatstore.models import Embedding
from chatstore.ownership import SoleOwner
from chatstore.redis import RedisDocuments, connect, document_layout

def highest():
    # Since the program began: what getrusage says begins with what the parent had.
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))

async def main(url, how, owner):
    async with connect(url) as client:
        owners = SoleOwner(owner) if owner else None
        documents = RedisDocuments(client, document_layout("langchain", index="tea", owners=owners))
        begun = highest()
        if how == "search":
            seen = len(await documents.search_by_embedding(owner, Embedding.of([1.0, 2.0]), k=1, where=None))
        else:
            seen = 0
            async for page in documents.scan():
                seen += len(page.changes) + len(page.quarantined)
        await documents.close()
    print(json.dumps({"seen": seen, "used": highest() - begun}))

asyncio.run(main(*sys.argv[1:]))
"""


def read_elsewhere(url, how, owner):
    done = subprocess.run(
        [sys.executable, "-c", READ, url, how, owner], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def fill(app, documents, size):
    for number in range(documents):
        fields = {"content": f"{number}" + "x" * size, "content_vector": struct.pack("<2f", 1, number)}
        app.hset(f"doc:tea:{number}", mapping=fields)


@linux
@pytest.mark.parametrize(
    ("how", "owner", "seen"), [("scan", OWNER, DOCUMENTS), ("scan", "", DOCUMENTS), ("search", OWNER, 1)]
)
async def test_large_documents_are_not_read_all_at_once(app, search_redis, how, owner, seen):
    fill(app, DOCUMENTS, LARGE)
    found = await asyncio.to_thread(read_elsewhere, search_redis, how, owner)
    assert found["seen"] == seen
    assert found["used"] < ROOM


async def test_a_scan_gives_small_and_large_ones_once_each_and_goes_on_from_any_part(app, world):
    fill(app, 900, 1)
    for number in range(0, 900, 100):
        app.hset(f"doc:tea:{number}", "content", "x" * 300_000)
    opened = await world("langchain", index="tea")
    pages = [page async for page in opened.old.scan()]
    names = [change.key.id for page in pages for change in page.changes]
    assert sorted(names) == sorted(map(str, range(900)))
    assert pages[-1].cursor is None
    for place, page in enumerate(pages[:-1]):
        if page.cursor is not None:
            rest = {one.key.id async for part in opened.old.scan(page.cursor) for one in part.changes}
            assert rest >= {change.key.id for later in pages[place + 1 :] for change in later.changes}
    await opened.move()
    found = await opened.old.search_by_embedding(OWNER, Embedding.of([1.0, 100.0]), k=1, where=None)
    assert [match.document.id for match in found] == ["100"]
