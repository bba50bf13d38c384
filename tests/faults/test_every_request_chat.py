"""The same on Redis and Supabase, a fault at every request that goes over the network."""

import psycopg
import pytest

from chatstore.errors import NotFoundError
from chatstore.migration import BackfillOptions, backfill_chat
from chatstore.models import (
    AppendMessages,
    ChatChange,
    DeleteMessages,
    DeleteSession,
    EditMessage,
    Kind,
    Mark,
    Message,
    NewMessage,
    PopMessage,
    Session,
    Side,
    Stage,
    utc_now,
)
from chatstore.redis import RedisProgress
from chatstore.redis.keys import JournalKeys
from chatstore.routing import chat_repairer, merge_chat
from tests.faults.apps import writer_at
from tests.faults.requests import MANY, Break, Operation, every_request

USER = "u"
SAID = ["one", "two", "three"]
_VERSION = 1_700_000_000_000_000


def session_of(number):
    return f"s{number}"


def held(number, contents=SAID):
    """What both sides have of a trial's session before it."""
    name, now = session_of(number), utc_now()
    about = {"session_id": name, "user_id": USER, "role": "user", "created_at": now, "version": _VERSION}
    messages = (Message(id=f"{name}.m{i}", position=i, content=text, **about) for i, text in enumerate(contents))
    session = Session(id=name, user_id=USER, title=name, created_at=now, updated_at=now, version=_VERSION)
    return ChatChange(session_id=name, user_id=USER, session=session, messages=tuple(messages))


def append(number, *contents):
    name = session_of(number)
    messages = tuple(NewMessage("user", content, id=f"{name}.{content}") for content in contents)
    return AppendMessages(user_id=USER, session_id=name, messages=messages)


WRITES = {
    "append": (lambda n: append(n, "four", "five"), [*SAID, "four", "five"]),
    "edit": (
        lambda n: EditMessage(
            user_id=USER, session_id=session_of(n), message_id=f"{session_of(n)}.m1", content="edited"
        ),
        ["one", "edited", "three"],
    ),
    "pop": (lambda n: PopMessage(user_id=USER, session_id=session_of(n)), ["one", "two"]),
    "delete-messages": (
        lambda n: DeleteMessages(user_id=USER, session_id=session_of(n), message_ids=(f"{session_of(n)}.m0",)),
        ["two", "three"],
    ),
    "delete": (lambda n: DeleteSession(user_id=USER, session_id=session_of(n)), None),
}


async def both_hold_all(sides):
    for side in Side:
        await sides[side].put([held(number) for number in range(MANY)])


async def contents(side, number):
    try:
        messages = await side.messages(USER, session_of(number))
    except NotFoundError:
        return None
    return [(message.position, message.id, message.content) for message in messages]


async def check(sides, number, *allowed):
    """Both sides hold the same of a trial's session, and it is one of these."""
    old, new = [await contents(sides[side], number) for side in Side]
    assert old == new, "the sides differ"
    said = None if old is None else [content for _, _, content in old]
    assert said in allowed, f"lost, back or half: {said}"


@pytest.mark.parametrize("stage", [Stage.DUALWRITE, Stage.LIVE])
@pytest.mark.parametrize("name", WRITES)
async def test_a_write_is_never_lost(chat_sides, name, stage):
    command, after = WRITES[name]
    write = await writer_at(stage, Kind.CHAT, chat_sides, USER)
    await both_hold_all(chat_sides)
    trials = await every_request(lambda number: write(command(number)))
    await chat_repairer(chat_sides).run()
    assert (await chat_sides.backlog()).marks == 0
    for number, trial in enumerate(trials):
        await check(chat_sides, number, *([after] if trial.acked else [SAID, after]))
    failed = [trial for trial in trials if trial.how in {Break.NEVER_SENT, Break.REPLY_LOST}]
    assert len({trial.at for trial in failed if not trial.acked}) == 1, "only the first side can fail the app"


async def test_a_merge_that_is_stopped_anywhere_is_finished_by_a_repair(chat_sides):
    marked = {}
    await both_hold_all(chat_sides)
    edit, _ = WRITES["edit"]

    async def given(number):
        marked[number] = []
        for side, command in ((Side.OLD, append(number, "four")), (Side.NEW, edit(number))):
            mark = Mark(user_id=USER, key=session_of(number), side=side, op=command.op, while_open=True)
            await chat_sides[side].write(command, mark)
            marked[number].append(mark)

    def merge(number):
        return Operation(merge_chat(chat_sides, marked[number]))

    trials = await every_request(merge, given)
    await chat_repairer(chat_sides).run()
    assert (await chat_sides.backlog()).marks == 0
    for number, _ in enumerate(trials):
        await check(chat_sides, number, ["one", "edited", "three", "four"])


@pytest.mark.usefixtures("not_by_the_clock")
@pytest.mark.parametrize("source", Side)
async def test_a_backfill_that_dies_anywhere_goes_on(chat_sides, source, redis, database_url):
    progress, repair = RedisProgress(redis, Kind.CHAT), chat_repairer(chat_sides).run
    lengths = {0: SAID, 1: ["alone"]}

    async def copy():
        options = BackfillOptions(batch=1)
        await backfill_chat(chat_sides[source], chat_sides[source.other], progress, repair=repair, options=options)

    async def put_right():
        await redis.ask("DEL", JournalKeys(Kind.CHAT).lease)  # It ran out.
        await copy()
        assert (await chat_sides.backlog()).marks == 0
        for number, said in lengths.items():
            await check(chat_sides, number, said)

    async def given(number):
        if number:
            await put_right()
        await redis.ask("FLUSHDB")
        await empty(database_url)
        await chat_sides[source].put([held(number, said) for number, said in lengths.items()])

    await every_request(lambda _: Operation(copy()), given, kinds=(Break.DIES_SENT,))
    await put_right()


async def empty(database_url):
    tables = "public.sessions, chatstore.tombstones, chatstore.session_states, chatstore.marks, chatstore.migration"
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        for table in tables.split(", "):
            await connection.execute(f"delete from {table}")
