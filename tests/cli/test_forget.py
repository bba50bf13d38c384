"""`chatstore forget`: asks, counts, deletes, and says what is left."""

import asyncio
from types import SimpleNamespace

import pytest

from chatstore.errors import LayoutError
from chatstore.models import Kind, Quarantined, Side
from chatstore.models.ownership import SameUsers
from tests.migration.doubles import legacy_document, legacy_session

RECORDS = {"old": 2, "new": 1}


@pytest.fixture
def held(memory):
    """Two sessions and two documents of the user `u` in Redis, one of each copied, and one that is in quarantine."""
    memory.layouts = SimpleNamespace(users=SameUsers)
    sessions, documents = [legacy_session(name, "a") for name in "st"], [legacy_document(name) for name in "de"]
    asyncio.run(memory.chat.old.put(sessions))
    asyncio.run(memory.documents.old.put(documents))
    asyncio.run(memory.chat.new.put(sessions[:1]))
    asyncio.run(memory.documents.new.put(documents[:1]))
    raw = b'{"session_id": "s", "content": "what was said"}'
    entries = [Quarantined(key="message:7", reason="a field is missing", raw=raw, size=len(raw))]
    entries.append(Quarantined(key="message:8", reason="a field is missing", raw=b'{"session_id": "x"}', size=19))
    asyncio.run(memory.runs[Kind.CHAT].quarantine(entries))
    return memory


def left(memory):
    return [
        name for sides in (memory.chat, memory.documents) for side in Side for name in asyncio.run(_held(sides[side]))
    ]


async def _held(store):
    return [name async for names in store.held_by("u") for name in names]


def test_it_deletes_on_both_sides_and_says_how_much(program, held):
    done = program("forget", "u", "--yes")
    assert done.status == 0
    assert done.out.splitlines() == [
        "chat: 2 sessions on the old side, 1 session on the new side deleted",
        "chat: 1 record taken out of the quarantine",
        "documents: 2 documents on the old side, 1 document on the new side deleted",
    ]
    assert left(held) == []
    again = program("forget", "u", "--yes", "--json").json
    nothing = {"records": {"old": 0, "new": 0}, "quarantined": 0, "unreadable": 0, "refused": 0, "complete": True}
    assert again == {"user": "u", "dry_run": False, "chat": nothing, "documents": nothing}
    assert [entry.key for entry in held.runs[Kind.CHAT]._quarantine.values()] == ["message:8"]


def test_a_dry_run_counts_and_deletes_nothing(program, held):
    done = program("forget", "u", "--dry-run")
    assert done.status == 0
    assert "chat: 2 sessions on the old side, 1 session on the new side would be deleted" in done.out
    assert len(left(held)) == 6
    assert program("forget", "u", "--dry-run", "--json").json["documents"]["records"] == RECORDS


@pytest.mark.parametrize(("answer", "why"), [("n\n", "nothing was deleted"), (None, "give --yes to forget the user")])
def test_it_asks_first_and_deletes_nothing_without_an_answer(program, held, answer, why):
    done = program("forget", "u", answer=answer)
    assert done.status == 2
    assert why in done.err
    assert len(left(held)) == 6


def test_it_goes_on_at_a_yes(program, held):
    done = program("forget", "u", answer="y\n")
    assert done.status == 0
    assert "Delete all sessions, messages and documents of the user 'u'" in done.err
    assert left(held) == []


def test_what_cannot_be_read_is_told_and_is_something_wrong_in_the_data(program, held, monkeypatch):
    write = type(held.chat.old).write

    async def unreadable(self, command, mark=None):
        if self.side is Side.OLD and getattr(command, "session_id", "") == "t":
            raise LayoutError(b"session:t", b"", "a field is missing")
        return await write(self, command, mark)

    monkeypatch.setattr(type(held.chat.old), "write", unreadable)
    done = program("forget", "u", "--yes")
    assert done.status == 1
    assert "1 session in Redis cannot be read, and so not be deleted: `chatstore inspect` names them" in done.out
    assert left(held) == ["t"]


def test_a_user_id_that_nobody_can_have_is_refused(program, held):
    assert program("forget", "", "--yes").status == 2
    assert program("forget", "x" * 2000, "--yes").status == 2


def test_a_server_that_is_away_is_said(program, held):
    held.away.add(Side.NEW)
    done = program("forget", "u", "--yes")
    assert done.status == 2
    assert "the new server does not answer" in done.err
