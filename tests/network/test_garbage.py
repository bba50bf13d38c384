"""A server that answers nonsense: something else listens at the address, or what is there has lost its mind."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from chatstore.errors import ConfigurationError, UnavailableError
from chatstore.models import Kind, Side, Stage
from tests.log import told
from tests.network.apps import app, user

HTML = "<!doctype html><title>Welcome</title><p>It works!</p>"


def http(status, body, kind="application/json", length=None):
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body) if length is None else length}\r\n\r\n"
    return (head + body).encode()


ANSWERS = {
    "nonsense": b"\x00\xff nonsense \r\n\r\n\x13\x37",
    "nothing": b"",
    "page": http("200 OK", HTML, "text/html"),
    "error page": http("500 Internal Server Error", HTML, "text/html"),
    "gateway": http("502 Bad Gateway", "", "text/html"),
    "empty object": http("200 OK", "{}"),
    "empty list": http("200 OK", "[]"),
    "number": http("200 OK", "7"),
    "text": http("200 OK", '"hello"'),
    "broken json": http("200 OK", '{"a": [1, '),
    "cut off": http("200 OK", '{"a": 1', length=1000),
    "deep": http("200 OK", "[" * 100_000),
}
REDIS_ANSWERS = {
    "nonsense": b"\x00\xff nonsense \r\n\r\n\x13\x37",
    "nothing": b"",
    "page": http("200 OK", HTML, "text/html"),
    "error": b"-ERR what\r\n",
    "cut off": b"$1000\r\nabc",
    "null": b"$-1\r\n",
    "number": b":7\r\n",
    "OK": b"+OK\r\n",
    "empty list": b"*0\r\n",
    "list of nulls": b"*3\r\n$-1\r\n$-1\r\n$-1\r\n",
}


@asynccontextmanager
async def speaking(proxy, answer):
    """What is behind the proxy gives one answer to whatever it is asked, and closes."""

    async def serve(reader, writer):
        await reader.read(1)
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    await proxy.lead_to(server.sockets[0].getsockname())
    try:
        yield
    finally:
        await proxy.lead_to(None)
        server.close()


SERVERS = {
    "redis": (Kind.CHAT, Side.OLD, REDIS_ANSWERS),
    "supabase": (Kind.CHAT, Side.NEW, ANSWERS),
    "chroma": (Kind.DOCUMENTS, Side.NEW, ANSWERS),
}


@pytest.mark.parametrize("server", SERVERS)
async def test_as_the_second_side_it_is_never_believed(servers, server):
    kind, side, answers = SERVERS[server]
    async with app(kind, Stage.LIVE if side is Side.OLD else Stage.DUALWRITE, servers) as made:
        ann = user()
        key = await made.open(ann)
        await made.write(ann, key, "before")
        await made.router.replicator.drain()
        made.router.replicator._patience = len(answers) + 1  # each answer is to be heard
        for name, answer in answers.items():
            async with speaking(made.network[side], answer):
                left = made.counts.left
                await made.write(ann, key, name)
                await made.router.replicator.drain()
                assert made.counts.left > left, f"believed: {name}"
        async with told(f"the {side} side has all writes again"):
            made.repair_in_the_background()
        read = [await made.read_from(store, ann, key) for store in (made.direct.old, made.direct.new)]
        assert sorted(read[0]) == sorted(["before", *answers])
        assert read[0] == read[1]


@pytest.mark.parametrize("server", SERVERS)
async def test_as_the_first_side_it_is_an_error_of_ours(servers, server):
    kind, side, answers = SERVERS[server]
    async with app(kind, Stage.DUALWRITE if side is Side.OLD else Stage.LIVE, servers) as made:
        ann = user()
        key = await made.open(ann)
        await made.write(ann, key, "before")
        await made.router.replicator.drain()
        raised = {}
        for name, answer in answers.items():
            async with speaking(made.network[side], answer):
                for call in (made.write(ann, key, name), made.read(ann, key)):
                    try:
                        await call
                    except Exception as error:  # noqa: BLE001 - which it is, is judged below
                        raised.setdefault(name, []).append(error)
        assert {name: len(errors) for name, errors in raised.items()} == dict.fromkeys(answers, 2)
        for errors in raised.values():
            for error in errors:
                assert isinstance(error, UnavailableError | ConfigurationError), repr(error)
                assert "127.0.0.1" in str(error)
        assert await made.marks() == 0
        for store in (made.direct.old, made.direct.new):
            assert await made.read_from(store, ann, key) == ["before"]
