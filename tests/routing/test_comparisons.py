"""What an app is told of single shadow reads, and that no call feels whatever it does with that."""

import asyncio
import contextvars
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from chatstore.errors import ConfigurationError, UnavailableError
from chatstore.models import Embedding, Kind, NewDocument, NewMessage, Side, Stage
from chatstore.routing import Comparison, Outcome
from chatstore.routing.comparison import told_aside
from tests.routing.flags.services import until
from tests.routing.pair import chat_pair, document_pair

request_of = contextvars.ContextVar("request_of", default=None)


async def told_of(router, tell):
    """Have a router tell of its comparisons, and look at once when there is a difference."""
    router.shadow._on_compared = (tell,)
    router.shadow._pause = 0


@pytest.fixture
async def chats():
    """A router at `shadow`, a session with three messages, and what is told."""
    chat, flags = await chat_pair(Stage.SHADOW)
    told = []
    await told_of(chat, told.append)
    session = await chat.create_session("ann", title="a secret")
    await chat.append("ann", session.id, [NewMessage("user", f"secret {number}") for number in range(3)])
    return chat, flags, session, told


async def test_an_equal_history_is_told_with_its_size_and_how_long_both_sides_took(chats):
    chat, _, session, told = chats
    await chat.last_messages("ann", session.id, 10)
    await chat.shadow.drain()
    [seen] = told
    assert (seen.kind, seen.operation, seen.user_id, seen.key) == (Kind.CHAT, "last_messages", "ann", session.id)
    assert (seen.outcome, seen.detail, seen.records, seen.served_by) == (Outcome.EQUAL, "", 3, Side.OLD)
    assert 0 < seen.served_seconds < 10
    assert 0 < seen.other_seconds < 10
    assert seen.seconds(Side.OLD) == seen.served_seconds
    assert seen.seconds(Side.NEW) == seen.other_seconds
    assert timedelta() <= datetime.now(UTC) - seen.at < timedelta(seconds=30)


async def test_at_live_it_is_the_new_side_that_served(chats):
    chat, flags, session, told = chats
    flags.set(Stage.LIVE)
    await chat.get_session("ann", session.id)
    await chat.shadow.drain()
    assert (told[-1].served_by, told[-1].outcome, told[-1].records) == (Side.NEW, Outcome.EQUAL, 1)


async def test_a_difference_is_told_by_its_place_and_without_any_text(chats):
    chat, _, session, told = chats
    [_, second, _] = await chat.sides.new.messages("ann", session.id)
    await chat.sides.new.edit_message("ann", session.id, second.id, content="another secret")
    await chat.messages("ann", session.id)
    await chat.sides.new.update_session("ann", session.id, title="another secret")
    await chat.get_session("ann", session.id)
    await chat.shadow.drain()
    by_read = {seen.operation: seen for seen in told}
    assert {seen.outcome for seen in told} == {Outcome.MISMATCHED}
    assert "at place 1: message differs in content" in by_read["messages"].detail
    assert "title" in by_read["get_session"].detail
    assert "secret" not in repr(told)


async def test_what_a_mark_explains_is_pending_and_what_does_not_answer_has_failed(chats):
    chat, _, session, told = chats
    chat.sides.new.broken = True
    await chat.append("ann", session.id, NewMessage("user", "more"))
    await chat.count_messages("ann", session.id)
    await chat.shadow.drain()
    assert (told[-1].outcome, told[-1].detail, told[-1].records) == (
        Outcome.PENDING,
        "4 on one side, 3 on the other",
        0,
    )

    async def away(*_):
        raise UnavailableError("the server is away")

    chat.sides.new.count_messages = away
    await chat.count_messages("ann", session.id)
    await chat.shadow.drain()
    assert (told[-1].outcome, told[-1].detail, told[-1].other_seconds) == (Outcome.FAILED, "the server is away", None)


async def test_a_search_is_told_with_how_far_both_sides_agree():
    documents, _ = await document_pair(Stage.SHADOW)
    told = []
    await told_of(documents, told.append)
    east = Embedding.of([1, 0])
    await documents.upsert("ann", NewDocument("Tea", id="d", embedding=east))
    await documents.search("ann", east, k=3)
    await documents.shadow.drain()
    [seen] = told
    assert (seen.kind, seen.operation, seen.key, seen.records) == (Kind.DOCUMENTS, "search", "", 1)
    assert (seen.outcome, seen.agreement.overlap) == (Outcome.EQUAL, 1.0)


@pytest.mark.parametrize("stage", [Stage.OFF, Stage.DUALWRITE, Stage.RAMPDOWN, Stage.COMPLETE])
async def test_where_nothing_is_compared_nothing_is_told(chats, stage):
    chat, flags, session, told = chats
    flags.set(stage)
    await chat.get_session("ann", session.id)
    await chat.shadow.drain()
    assert told == []


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "chatstore-comparisons"]


def of_user(user_id):
    return Comparison(Kind.CHAT, "get_session", user_id, "s", Side.OLD, 1, Outcome.EQUAL, "", 0.001, 0.002)


async def test_a_function_is_called_in_a_thread_of_its_own_one_after_the_other_and_before_the_stores_are_closed():
    seen = []

    def slow(comparison):
        time.sleep(0.01)
        seen.append((comparison.user_id, threading.current_thread().name, request_of.get()))

    async with told_aside(slow) as tell:
        for number in range(5):
            request_of.set(number)
            tell(of_user(f"u{number}"))
        assert len(seen) < 5
    assert seen == [(f"u{number}", "chatstore-comparisons", number) for number in range(5)]


async def test_a_function_that_hangs_holds_up_no_read_and_what_waits_is_bounded(chats, monkeypatch, caplog):
    monkeypatch.setattr("chatstore.routing.aside._ENDS_WITHIN", 0.1)
    chat, _, session, _ = chats
    over = threading.Event()
    began = time.monotonic()
    async with told_aside(lambda _: over.wait()) as tell:
        await told_of(chat, tell)
        await chat.get_session("ann", session.id)
        await chat.shadow.drain()
        for _ in range(1100):
            tell(of_user("ann"))
        assert time.monotonic() - began < 5
    over.set()
    assert caplog.text.count("comparisons are dropped: on_comparison is slower") == 1
    assert "on_comparison does not take them in time" in caplog.text
    await until(lambda: not threads())


async def test_a_function_that_fails_is_logged_once_and_reaches_no_read(chats, caplog):
    chat, _, session, _ = chats
    called = []

    def fails(comparison):
        called.append(comparison)
        raise KeyError("by the app's defect")

    async with told_aside(fails) as tell:
        await told_of(chat, tell)
        for _ in range(3):
            assert (await chat.get_session("ann", session.id)).id == session.id
        await chat.shadow.drain()
        await until(lambda: len(called) == 3)
    assert caplog.text.count("on_comparison failed: KeyError") == 1
    assert chat.shadow.counts.equal == 3


async def test_each_comparison_is_told_in_the_context_of_its_own_call(chats):
    chat, _, session, _ = chats
    seen = set()

    async def request(number):
        request_of.set(number)
        await chat.last_messages("ann", session.id, number + 1)

    async with told_aside(lambda told: seen.add((told.records, request_of.get()))) as tell:
        await told_of(chat, tell)
        await asyncio.gather(*(asyncio.create_task(request(number)) for number in range(3)))
        await chat.shadow.drain()
    assert seen == {(1, 0), (2, 1), (3, 2)}


async def coroutine(comparison):
    """What nobody would await."""


@pytest.mark.parametrize("wrong", [coroutine, "print", True], ids=["coroutine", "text", "truth"])
async def test_what_is_no_plain_function_is_refused(wrong):
    with pytest.raises(ConfigurationError, match="a plain function of a `Comparison`"):
        async with told_aside(wrong):
            pass


async def test_without_a_function_there_is_no_thread():
    async with told_aside(None) as tell:
        assert tell is None
        assert not threads()
