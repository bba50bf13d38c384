"""The connection: an app's own client, errors in our words, and answers that get lost."""

import asyncio
import time
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
import redis.asyncio
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
)

from chatstore.errors import ConfigurationError, LayoutError, NotFoundError, UnavailableError
from chatstore.models import Kind, NewMessage
from chatstore.redis import RedisChat, RedisJournal, chat_layout, connect, take_over
from chatstore.redis.client import our_error


async def test_an_apps_client_that_decodes_serves_as_it_is_and_stays_open(redis_database):
    async with redis.asyncio.Redis.from_url(redis_database, decode_responses=True) as client:
        chat = RedisChat(client, chat_layout("hash"))
        session = await chat.create_session("ann", title="é")
        await chat.append("ann", session.id, NewMessage("user", "x"))
        assert await chat.get_session("ann", session.id)
        await chat.close()
        assert await client.hget(f"session:{session.id}", "title") == "é"


class Odd(redis.asyncio.ConnectionPool):
    """Connections of which nobody knows how to make others."""


async def test_connections_that_cannot_be_made_anew_are_shared_unless_they_decode(redis_database):
    pool = Odd.from_url(redis_database)
    async with redis.asyncio.Redis(connection_pool=pool) as client:
        chat = RedisChat(client, chat_layout("hash"))
        session = await chat.create_session("ann")
        await chat.close()
        assert await client.exists(f"session:{session.id}")
    await pool.aclose()
    decoding = redis.asyncio.Redis(connection_pool=Odd.from_url(redis_database, decode_responses=True))
    with pytest.raises(ConfigurationError, match="decode_responses=False"):
        take_over(decoding)


def test_a_malformed_url_is_named():
    with pytest.raises(ConfigurationError, match="REDIS_URL"):
        connect("localhost:6379")


async def test_a_server_that_is_not_there_is_named_without_the_password():
    async with connect("redis://user:secret@127.0.0.1:1/0") as client:
        with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:1") as caught:
            await RedisChat(client, chat_layout("hash")).get_session("ann", "s")
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (BusyLoadingError("Redis is loading the dataset in memory"), UnavailableError),
        (ReadOnlyError("You can't write against a read only replica."), UnavailableError),
        (OutOfMemoryError("command not allowed when used memory > 'maxmemory'."), UnavailableError),
        (AuthenticationError("invalid username-password pair"), ConfigurationError),
        (ResponseError("WRONGTYPE Operation against a key"), LayoutError),
        (ResponseError("MISCONF Redis is configured to save"), UnavailableError),
    ],
)
def test_errors_of_the_client_library_are_said_in_our_words(error, ours):
    assert type(our_error(error, connect("redis://:secret@there:1234"))) is ours


async def test_a_server_that_forgot_its_scripts_learns_them_again(chat, client):
    session = await chat.create_session("ann")
    await client.script_flush()
    await chat.append("ann", session.id, NewMessage("user", "x"))
    await client.script_flush()
    async for page in chat.fetch([session.id]):
        assert len(page.changes[0].messages) == 1


async def test_a_key_of_ours_that_holds_something_else_is_a_layout_error(client):
    await client.set("chatstore:{chat}:migration", "x")
    await client.set("chatstore:{chat}:marks", "x")
    journal = RedisJournal(client, Kind.CHAT)
    with pytest.raises(LayoutError):
        await journal.state()
    with pytest.raises(LayoutError):
        await journal.backlog()


async def test_many_calls_at_once_wait_for_a_connection(chat):
    session = await chat.create_session("ann")
    await asyncio.gather(*(chat.append("ann", session.id, NewMessage("user", str(i))) for i in range(300)))
    assert await chat.count_messages("ann", session.id) == 300


@asynccontextmanager
async def losing_proxy(url, lose):
    """A proxy that passes everything on, but drops the connection instead of an answer when `lose` says so."""
    target = urlsplit(url)
    serving = set()

    async def pump(reader, writer, lost):
        while (data := await reader.read(65536)) and not lost():
            writer.write(data)

    async def serve(reader, writer):
        serving.add(asyncio.current_task())
        up_reader, up_writer = await asyncio.open_connection(target.hostname, target.port)
        pumps = {
            asyncio.ensure_future(pump(reader, up_writer, lambda: False)),
            asyncio.ensure_future(pump(up_reader, writer, lose)),
        }
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in pumps:
                one.cancel()
            writer.close()
            up_writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"redis://127.0.0.1:{port}{target.path}"
    finally:
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        await asyncio.sleep(0.01)  # until the transports have closed


async def test_a_pop_whose_answer_is_lost_is_never_repeated(redis_database, chat):
    session = await chat.create_session("ann")
    await chat.append("ann", session.id, [NewMessage("user", str(i)) for i in range(5)])
    losing = False
    async with losing_proxy(redis_database, lambda: losing) as url, redis.asyncio.Redis.from_url(url) as client:
        far = RedisChat(client, chat_layout("hash"))
        assert (await far.pop_message("ann", session.id)).content == "4"
        losing = True
        with pytest.raises(UnavailableError):
            await far.pop_message("ann", session.id)
        losing = False
        await far.close()
    assert await chat.count_messages("ann", session.id) == 3


class Once:
    """Loses one answer when it is armed, and none of the connection that is made after it."""

    def __init__(self):
        self.armed = False

    def __call__(self):
        lost, self.armed = self.armed, False
        return lost


async def test_nor_is_it_on_a_new_connection_that_works(redis_database, chat):
    session = await chat.create_session("ann")
    await chat.append("ann", session.id, [NewMessage("user", str(i)) for i in range(5)])
    lose = Once()
    async with losing_proxy(redis_database, lose) as url, connect(url) as client:
        far = RedisChat(client, chat_layout("hash"))
        assert (await far.pop_message("ann", session.id)).content == "4"
        lose.armed = True
        with pytest.raises(UnavailableError):
            await far.pop_message("ann", session.id)
        assert (await far.pop_message("ann", session.id)).content == "2"
    assert await chat.count_messages("ann", session.id) == 2


async def test_an_append_whose_answer_is_lost_may_be_repeated(redis_database, chat):
    session = await chat.create_session("ann")
    message = NewMessage("user", "once")
    losing = False
    async with losing_proxy(redis_database, lambda: losing) as url, connect(url) as client:
        far = RedisChat(client, chat_layout("hash"))
        await far.get_session("ann", session.id)
        losing = True
        with pytest.raises(UnavailableError):
            await far.append("ann", session.id, message)
        losing = False
        [stored] = await far.append("ann", session.id, message)
    assert await chat.messages("ann", session.id) == [stored]


async def test_a_cancelled_call_leaves_the_connection_usable_and_no_half(chat):
    session = await chat.create_session("ann")
    for _ in range(30):
        call = asyncio.ensure_future(chat.append("ann", session.id, [NewMessage("user", str(i)) for i in range(20)]))
        await asyncio.sleep(0.0005)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        assert (await chat.get_session("ann", session.id)).id == session.id
    assert await chat.count_messages("ann", session.id) % 20 == 0


async def test_an_old_index_is_built_anew_behind_the_reader(app, chat, client):
    await app.session("one")
    assert len((await chat.list_sessions("ann")).items) == 1
    await app.session("two")
    await client.set("chatstore:chat:hash:indexed", str(time.time() - 1000))
    other = RedisChat(client, chat_layout("hash"))
    await other.list_sessions("ann")
    for _ in range(100):
        if len((await other.list_sessions("ann")).items) == 2:
            break
        await asyncio.sleep(0.02)
    else:
        pytest.fail("the second session never came into the list")
    await other.close()


async def test_an_index_that_cannot_be_built_fails_the_call_and_not_the_next(app, redis_database):
    losing = False
    async with losing_proxy(redis_database, lambda: losing) as url, connect(url) as client:
        far = RedisChat(client, chat_layout("hash"))
        await app.session("one")
        with pytest.raises(NotFoundError):
            await far.get_session("ann", "nobody")
        losing = True
        with pytest.raises(UnavailableError):
            await far.list_sessions("ann")
        losing = False
        assert len((await far.list_sessions("ann")).items) == 1


@pytest.mark.parametrize(
    "url",
    [
        "redis://ana:sec/ret@h",
        "redis+sentinel://ana:sec#ret@h:1/s",
        "redis+cluster://ana:sec?ret@h",
        "redis+sentinel://h/sv/sec@x",
    ],
)
def test_no_part_of_a_password_that_is_not_escaped_is_told(url):
    with pytest.raises(ConfigurationError, match="%2F") as caught:
        connect(url)
    told: BaseException | None = caught.value
    while told is not None:
        assert "sec" not in str(told)
        told = told.__cause__ or told.__context__
