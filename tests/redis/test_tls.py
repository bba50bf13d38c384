"""Connections by TLS, by sockets of the file system, and to logical databases."""

from urllib.parse import urlsplit

import pytest
import redis.asyncio

from chatstore.errors import ConfigurationError, UnavailableError
from chatstore.models import NewMessage
from chatstore.redis import RedisChat, chat_layout, connect, take_over
from tests.network.own_redis import own_redis
from tests.redis.tls import Authority, tls_door


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("certificates"), "ours")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("certificates"), "theirs")


@pytest.fixture
async def door(redis_database, authority):
    async with tls_door(urlsplit(redis_database).port, authority.pair("server")) as port:
        yield f"rediss://127.0.0.1:{port}{urlsplit(redis_database).path}"


@pytest.fixture
async def strict_door(redis_database, authority):
    """One that lets in only whom the authority knows."""
    async with tls_door(urlsplit(redis_database).port, authority.pair("server"), clients=authority) as port:
        yield f"rediss://127.0.0.1:{port}{urlsplit(redis_database).path}"


async def uses(client):
    chat = RedisChat(client, chat_layout("hash"))
    session = await chat.create_session("ann")
    await chat.append("ann", session.id, NewMessage("user", "x"))
    [message] = await chat.messages("ann", session.id)
    assert message.content == "x"


async def test_a_server_whose_certificate_the_named_authority_signed_is_used(door, authority):
    async with connect(f"{door}?ssl_ca_certs={authority.certificate}") as client:
        await uses(client)


@pytest.mark.parametrize("named", ["", "?ssl_ca_certs={stranger}"])
async def test_one_that_nobody_we_trust_signed_is_refused_and_it_is_said_what_to_name(door, stranger, named):
    async with connect(door + named.format(stranger=stranger.certificate)) as client:
        with pytest.raises(ConfigurationError, match=r"not trusted: .*ssl_ca_certs"):
            await client.ask("PING")


async def test_a_certificate_of_ours_is_shown_where_the_server_wants_one(strict_door, authority):
    own = authority.pair("client")
    trusted = f"{strict_door}?ssl_ca_certs={authority.certificate}"
    async with connect(f"{trusted}&ssl_certfile={own.certificate}&ssl_keyfile={own.key}") as client:
        await uses(client)
    async with connect(trusted) as client:
        # What a server says to that may be lost with the connection that it closes.
        with pytest.raises((ConfigurationError, UnavailableError), match=r"ssl_certfile"):
            await client.ask("PING")


async def test_a_server_that_does_not_speak_tls_says_nothing_and_the_error_says_what_that_may_mean(redis_database):
    async with connect(redis_database.replace("redis://", "rediss://"), timeout=0.3) as client:
        with pytest.raises(UnavailableError, match="that it speaks TLS at this port"):
            await client.ask("PING")


async def test_an_apps_own_client_keeps_its_certificates(strict_door, authority):
    own = authority.pair("app")
    async with redis.asyncio.Redis.from_url(
        strict_door, ssl_ca_certs=authority.certificate, ssl_certfile=own.certificate, ssl_keyfile=own.key
    ) as theirs:
        ours = take_over(theirs)
        await uses(ours)
        await ours.aclose()


async def test_a_cluster_behind_tls_and_a_translation_of_addresses(redis_cluster, authority):
    ports = {}
    async with (
        tls_door(redis_cluster.nodes[0].port, authority.pair("a")) as ports[redis_cluster.nodes[0].port],
        tls_door(redis_cluster.nodes[1].port, authority.pair("b")) as ports[redis_cluster.nodes[1].port],
        tls_door(redis_cluster.nodes[2].port, authority.pair("c")) as ports[redis_cluster.nodes[2].port],
    ):
        theirs = redis.asyncio.RedisCluster(
            host="127.0.0.1",
            port=ports[redis_cluster.nodes[0].port],
            ssl=True,
            ssl_ca_certs=str(authority.certificate),
            address_remap=lambda address: (address[0], ports.get(address[1], address[1])),
        )
        ours = take_over(theirs)
        await ours.ask_all(("SET", f"key:{i}", i) for i in range(100))
        assert await ours.ask_all(("GET", f"key:{i}") for i in range(100)) == [b"%d" % i for i in range(100)]
        await ours.aclose()
        await theirs.aclose()


async def test_a_socket_of_the_file_system_and_a_logical_database(tmp_path):
    place = tmp_path / "redis.sock"
    async with own_redis(tmp_path, "--unixsocket", str(place)) as (_, admin):
        async with connect(f"unix://{place}?db=3") as client:
            await uses(client)
            assert client.address == str(place)
        await admin.execute_command("SELECT", 3)
        assert await admin.dbsize() > 0
        assert (await admin.info("keyspace")).keys() == {"db3"}
