"""Whose a document is, and how large, by a short script: it says what the whole one does, or leaves it to that."""

import pytest

from chatstore.errors import LayoutError
from chatstore.models import NewDocument
from chatstore.redis.document_peek import peek_all
from chatstore.redis.scripts import run, run_all
from chatstore.testing.samples import EAST
from tests.redis.conftest import UPDATED

ODD = {
    "no owner": {"userId": ""},
    "no times": {"createdAt": "", "updatedAt": ""},
    "one time": {"createdAt": ""},
    "seconds": {"updatedAt": UPDATED // 1000},
    "text": {"updatedAt": "2026-11-24T01:02:03Z"},
    "no time at all": {"updatedAt": "yesterday"},
    "a zero before": {"updatedAt": f"0{UPDATED}"[:13]},
}


def told(calls, reply, name):
    """What is asked of a reply: that there is a document, whose, and how large."""
    try:
        found = calls.reply(reply, name)
    except LayoutError as error:
        return str(error)
    if found is None or found.updated is None:
        return None
    return calls.key(found, name), found.updated // 1000, calls.weight(found)


async def test_what_the_short_script_tells_is_what_the_whole_one_does(documents, client, app):
    await app.document("plain", colour="red")
    await app.document("expires")
    await client.pexpire("document:expires", 100_000)
    for name, fields in ODD.items():
        await app.document(name, **fields)
    await client.set("document:no hash", "text")
    [deleted] = await documents.upsert("ann", NewDocument("text", embedding=EAST))
    await documents.delete("ann", [deleted.id])
    names = [name.encode() for name in ["plain", "expires", *ODD, "no hash", deleted.id, "nobody"]]
    calls = documents._calls
    whole = await run_all(client, [calls.weigh(name) for name in names])
    peeked = await peek_all(client, calls, names, sized=True)
    for name, one, other in zip(names, peeked, whole, strict=True):
        assert told(calls, one, name) == told(calls, other, name), name
    assert [reply[0] for reply in await peek_all(client, calls, names, sized=False)] == [reply[0] for reply in whole]


@pytest.mark.parametrize("sized", [False, True])
async def test_the_short_script_tells_of_a_plain_document_alone(documents, client, app, sized):
    await app.document("plain")
    for name, fields in ODD.items():
        await app.document(name, **fields)
    await client.set("document:no hash", "text")
    await run_all(client, [documents._calls.peek(b"plain", sized=sized)])
    alone = [
        name
        for name in ["plain", *ODD, "no hash", "nobody"]
        if await run(client, documents._calls.peek(name.encode(), sized=sized)) is not None
    ]
    assert alone == ["plain"]
