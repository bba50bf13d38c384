"""Making a connection: from a URL, or from a client that the app has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from inspect import signature
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio import BlockingConnectionPool, ConnectionPool, RedisCluster
from redis.asyncio.connection import AbstractConnection, Connection, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import (
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)
from redis.backoff import NoBackoff

from chatstore.errors import ConfigurationError
from chatstore.redis.client import ANSWER_WITHIN, AppClient, Client, Server
from chatstore.redis.cluster import Cluster
from chatstore.redis.packing import packing_in_c
from chatstore.redis.pool import WaitingPool
from chatstore.redis.sentinel import WaitingSentinelPool, WatchedServer

_CONNECTIONS = 64
_SENTINEL_PORT = 26_379
_OF_SENTINELS = "sentinel_"

_MAINTENANCE = ("maint_", "orig_")

_FORMS = (
    "redis://host:port/database, rediss:// for TLS, unix://path, redis+sentinel://host:port,host:port/service/database,"
    " redis+cluster://host:port,host:port"
)


def connect(url: str, *, timeout: float = ANSWER_WITHIN) -> Client:
    """Return a client for a server or a cluster; it connects when it is first used.

    Args:
        url: `redis://[[user]:[password]@]host[:port][/database]`, or `unix://path`.
            `redis+sentinel://[[user]:[password]@]host[:port][,host…]/service[/database]` names sentinels, which know
            where the primary is; user and password are the server's, the query's `sentinel_username` and
            `sentinel_password` the sentinels'. `redis+cluster://[[user]:[password]@]host[:port][,host…]` names some
            nodes of a cluster. `rediss…://` speaks TLS; the query may have `ssl_ca_certs`, `ssl_certfile`,
            `ssl_keyfile`, and what else the client library knows.
        timeout: How many seconds a connection or an answer may take.

    Raises:
        ConfigurationError: The URL is malformed.
    """
    scheme, _, kind = url.partition("://")[0].partition("+")
    malformed = f"REDIS_URL is no URL of a Redis server ({_FORMS})"
    try:
        match kind:
            case "":
                return _server(ConnectionPool.from_url(url, socket_timeout=timeout))
            case "cluster":
                return _cluster(url, scheme, timeout)
            case "sentinel":
                return _watched(url, scheme, timeout)
    except ValueError as error:
        # What stands in the port's place, or in a host's name, may be a part of the password: neither told nor chained.
        if not str(error).startswith(("Port", "netloc")):
            raise ConfigurationError(f"{malformed}: {error}") from None
    if not kind or kind in {"cluster", "sentinel"}:
        malformed += ": a port is no number; a password with / ? # is written with %2F %3F %23"
    raise ConfigurationError(malformed)


def take_over(client: AppClient) -> Client:
    """Return a client of our own with the settings of one that the app has; the app's stays as it is.

    Raises:
        ConfigurationError: It decodes responses, and its connections are of a kind that cannot be made anew.
    """
    if isinstance(client, Client):
        return client
    if isinstance(client, RedisCluster):
        nodes = [(str(node.host), int(node.port)) for node in client.nodes_manager.startup_nodes.values()]
        settings, answer_within = _our_settings(_known(client.connection_kwargs))
        connection = client.connection_kwargs.get("connection_class", Connection)
        remap = getattr(client.nodes_manager, "address_remap", None)
        return Cluster(nodes, lambda host, port: _at(host, port, connection, settings, answer_within), remap)
    pool = client.connection_pool
    if type(pool) is SentinelConnectionPool:
        return _watched_by(pool.sentinel_manager, str(pool.service_name), pool.connection_class, pool.connection_kwargs)
    if type(pool) in (ConnectionPool, BlockingConnectionPool):
        return _server(pool)
    if pool.connection_kwargs.get("decode_responses"):
        raise ConfigurationError(
            "this Redis client decodes responses, and chatstore must see the bytes: "
            "give it one that was made with decode_responses=False"
        )
    return Server(connection_pool=pool)


def _server(pool: ConnectionPool) -> Server:
    settings, answer_within = _our_settings(pool.connection_kwargs)
    return _own(_waiting(pool.connection_class, settings), answer_within)


def _own(pool: ConnectionPool, answer_within: float, kind: type[Server] = Server) -> Server:
    own = kind(connection_pool=pool)
    own.answer_within = answer_within
    own.auto_close_connection_pool = True
    return own


def _waiting(connection: Any, settings: Mapping[str, Any]) -> ConnectionPool:
    # A pool that waits: one that refuses would fail the hundredth call of a busy moment.
    return WaitingPool(
        max_connections=_CONNECTIONS, timeout=ANSWER_WITHIN, connection_class=packing_in_c(connection), **settings
    )


def _our_settings(given: Mapping[str, Any]) -> tuple[dict[str, Any], float]:
    """Return the settings of a connection with those that ours must have, and how long an answer may take."""
    settings = {
        **{name: given[name] for name in given if given[name] is not None and not name.startswith(_MAINTENANCE)},
        **_without_maintenance(),
        **_without_a_name(),
        "decode_responses": False,
        "retry": Retry(NoBackoff(), 0),
    }
    answer_within = settings.pop("socket_timeout", ANSWER_WITHIN)
    settings["socket_timeout"] = None  # not left out: the client library has a default of its own
    settings.setdefault("socket_connect_timeout", answer_within)
    return settings, answer_within


def _without_maintenance() -> dict[str, Any]:
    """Return what keeps the client library from listening to what Redis Cloud tells of its maintenance.

    While it does, it gives out connections that a server has closed, so that after a restart many calls fail in vain.
    """
    try:
        from redis.maint_notifications import MaintNotificationsConfig  # noqa: PLC0415 - since version 7
    except ImportError:
        return {}
    return {"maint_notifications_config": MaintNotificationsConfig(enabled=False)}


def _without_a_name() -> dict[str, Any]:
    """Return what keeps a connection from telling its library's name, for which a careful user has no right."""
    known = signature(AbstractConnection.__init__).parameters
    return {"driver_info": None} if "driver_info" in known else {"lib_name": None, "lib_version": None}


def _cluster(url: str, scheme: str, timeout: float) -> Cluster:
    nodes, plain = _hosts(url, scheme, 6379)
    if plain.path.strip("/"):
        raise ValueError(
            "a cluster has no logical databases: leave out what follows the hosts; a / in a password is written %2F"
        )
    given: dict[str, Any] = dict(parse_url(plain.geturl()))
    connection = given.pop("connection_class", Connection)
    settings, answer_within = _our_settings({**_without_place(given), "socket_timeout": timeout})
    return Cluster(nodes, lambda host, port: _at(host, port, connection, settings, answer_within))


def _at(host: str, port: int, connection: type[Any], settings: Mapping[str, Any], answer_within: float) -> Server:
    return _own(_waiting(connection, {**settings, "host": host, "port": port}), answer_within)


def _watched(url: str, scheme: str, timeout: float) -> Server:
    sentinels, plain = _hosts(url, scheme, _SENTINEL_PORT)
    service, _, database = plain.path.strip("/").partition("/")
    if not service:
        raise ValueError("the path names no service that the sentinels watch")
    if database and not database.isdigit():
        # Not told, as it may be a part of a password that is not escaped.
        raise ValueError("what follows the service is no number of a database; a / in a password is written %2F")
    given: dict[str, Any] = dict(parse_url(plain._replace(path="").geturl()))
    tls = given.pop("connection_class", Connection) is not Connection
    settings = {**_without_place(given), "db": int(database or 0), "socket_timeout": timeout}
    ours = {name: settings.pop(name) for name in list(settings) if name.startswith(_OF_SENTINELS)}
    theirs = {name.removeprefix(_OF_SENTINELS): value for name, value in ours.items()}
    if tls:
        theirs |= {"ssl": True, **{name: value for name, value in settings.items() if name.startswith("ssl_")}}
    manager = Sentinel(  # type: ignore[no-untyped-call]
        sentinels,
        sentinel_kwargs={
            "socket_timeout": timeout,
            "socket_connect_timeout": timeout,
            "retry": Retry(NoBackoff(), 0),
            **theirs,
        },
    )
    connection = SentinelManagedSSLConnection if tls else SentinelManagedConnection
    own = _watched_by(manager, service, connection, settings)
    own.sentinels = manager
    return own


def _watched_by(manager: Sentinel, service: str, connection: Any, given: Mapping[str, Any]) -> WatchedServer:
    settings, answer_within = _our_settings({**given, "connection_pool": None})
    pool = WaitingSentinelPool(  # type: ignore[no-untyped-call]
        service,
        manager,
        connection_class=packing_in_c(connection),
        max_connections=_CONNECTIONS,
        timeout=ANSWER_WITHIN,
        **settings,
    )
    own = _own(pool, answer_within, WatchedServer)
    assert isinstance(own, WatchedServer)  # noqa: S101 - as it was asked for
    return own


def _hosts(url: str, scheme: str, port: int) -> tuple[list[tuple[str, int]], Any]:
    """Return the hosts and ports that a URL lists, and the URL as one of its first host alone, in plain words."""
    if scheme not in ("redis", "rediss"):
        raise ValueError(f"it begins with {scheme}")
    authority, rest = re.fullmatch(r"([^/?#]*)(.*)", url.partition("://")[2], re.DOTALL).groups()  # type: ignore[union-attr]
    user, at, listed = authority.rpartition("@")
    parts = [urlsplit(f"//{host}") for host in listed.split(",")]
    if not all(part.hostname for part in parts):
        raise ValueError("it lists no host, or an empty one")
    hosts = [(str(part.hostname), part.port or port) for part in parts]
    return hosts, urlsplit(f"{scheme}://{user}{at}{listed.split(',')[0]}{rest}")


def _without_place(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in ("host", "port", "db")}


def _known(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return those settings of a cluster's client that a connection to one of its nodes takes."""
    names = ("username", "password", "credential_provider", "client_name", "health_check_interval", "protocol")
    return {
        name: value
        for name, value in settings.items()
        if name in names or (name.startswith(("ssl_", "socket_")) and name != "socket_read_size")
    }
