"""Forgetting a user: what is given before, and what others do beside it."""

from contextlib import suppress

from chatstore.errors import ConflictError
from chatstore.models import CreateSession, Side, Stage, utc_now
from chatstore.routing import forget_chat, forget_documents
from tests.faults import chat_operations as chats
from tests.faults import document_operations as documents
from tests.faults.bench import Operation


def _sessions(bench):
    """A session on both sides with a write that was not handed over, one on the new side only, and another user's."""
    bench.remember(journal_open=True, verified_at=utc_now())
    for about, names in ((chats.OF_S, ("m1",)), (chats.OF_OTHERS, ("o1",))):
        bench.writes_both(CreateSession(**about, title=about["session_id"]))
        bench.writes_both(chats.append(about, *names))
    bench.writes(Side.NEW, CreateSession(**chats.OF_T, title="t"))
    bench.writes_first(Side.OLD, chats.COMMANDS["append"])


def _documents(bench):
    """Likewise."""
    bench.remember(journal_open=True, verified_at=utc_now())
    bench.writes_both(documents.upsert("first", "d1"))
    bench.writes_both(documents.upsert("first", "e1", user="v"))
    bench.writes(Side.NEW, documents.upsert("new", "d2"))
    bench.writes_first(Side.OLD, documents.COMMANDS["update"])


def _stores(bench):
    return {side: bench.process.sides[side] for side in Side}


async def _forget_chat(bench):
    done = await forget_chat("u", _stores(bench))
    assert done.complete


async def _forget_documents(bench):
    done = await forget_documents("u", _stores(bench))
    assert done.complete


def _later(forget):
    """Called again when the leases of who was interrupted have run out, and when what it sent has arrived.

    In that order it would wait for the leases to run out; what arrives later still is told of by docs/correctness.md.
    """

    async def call(bench):
        await bench.process.repairer.run()
        while bench.late:
            bench.arrive(0)
        bench.leases_run_out()
        await forget(bench)

    return call


def _tries(where, command):
    def beside(bench):
        with suppress(ConflictError):
            bench.tries(where, command)

    return beside


BESIDE_CHATS = (
    _tries(Side.NEW, chats.append(chats.OF_S, "beside")),
    _tries(Side.OLD, CreateSession(**chats.OF_S, title="beside")),
    _tries(Side.OLD, chats.append(chats.OF_OTHERS, "beside")),
)
BESIDE_DOCUMENTS = (
    _tries(Stage.COMPLETE, documents.upsert("beside", "d1")),
    _tries(Stage.DUALWRITE, documents.upsert("beside", "e1", user="v")),
)

CHAT = Operation("forget-chat", _sessions, _forget_chat, again=_forget_chat, beside=BESIDE_CHATS, points=20)
DOCUMENTS = Operation(
    "forget-documents",
    _documents,
    _forget_documents,
    again=_later(_forget_documents),
    beside=BESIDE_DOCUMENTS,
    points=20,
)
