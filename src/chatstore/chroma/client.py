"""A Chroma database, reached in whatever way the settings say, as coroutines."""

from __future__ import annotations

import asyncio
import inspect
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlsplit

import httpx

from chatstore.chroma.address import address_of, check_sendable, probe, without_credentials
from chatstore.chroma.failures import tellable, translated
from chatstore.errors import ChatStoreError, UnavailableError, UnsupportedError

_THREADS = 8
_TIMEOUT_SECONDS = 10.0
_ATTEMPT = 3
"""After how many times its timeout an attempt to connect is given up: chromadb makes some requests in it."""
_CLOUD = "https://api.trychroma.com"
_CLOUD_RECORDS, _RECORDS = 250, 1250

_engine_user: int | None = None
"""The process that first used an embedded database here: this one, or the one that this one was forked from."""


class ChromaClient:
    """Runs a Chroma client's calls in threads, a bounded number at a time, and translates its errors.

    Make one by `server`, `embedded`, `cloud` or `of`. It connects at the first call: importing chromadb takes a while.

    The blocking client is used for servers, too. Its calls take as long as those of chromadb's AsyncHttpClient (1.2 ms
    a read, measured on loopback), and the latter, as of 1.5.9, does not verify a server's TLS certificate by default
    and shares one connection pool, with its credentials, among all clients of an event loop.

    A call that is cancelled, or given up, leaves its thread at work until Chroma answers or the connection has been
    silent for as long again; what it does then still happens.

    Attributes:
        address: What names it in errors.
        records: How many records one call reads or writes at the most. Chroma Cloud allows 300, of which a walk takes
            a few; where it is not known whether this is one, that counts, too.
    """

    def __init__(
        self,
        connect: Callable[[], Any],
        *,
        address: str,
        owned: bool,
        timeout: float | None,
        records: int = _CLOUD_RECORDS,
    ) -> None:
        self.address = address
        self.records = records
        self._connect = connect
        self._owned = owned
        self._timeout = timeout
        self._client: Any = None
        self._limit: int | None = None
        self._connecting: Future[Any] | None = None
        self._connecting_since = 0.0
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="chatstore-chroma")

    @classmethod
    def server(
        cls,
        url: str,
        *,
        tenant: str = "default_tenant",
        database: str = "default_database",
        headers: Mapping[str, str] | None = None,
        timeout: float = _TIMEOUT_SECONDS,
    ) -> ChromaClient:
        """Return a client of a Chroma server.

        Args:
            url: Where it is, as in `http://localhost:8000`. Its user and password, if it has some, go into a header:
                httpx logs the URL of each request.
            tenant: Its tenant.
            database: Its database.
            headers: What each request carries, such as a token.
            timeout: After how many seconds without its answer a call ends with `UnavailableError`.

        Raises:
            ConfigurationError: The URL is not one of http or https, or a header cannot be sent.
        """
        address = address_of(url)
        url, sent = without_credentials(url, headers or {})

        def connect() -> Any:
            import chromadb  # noqa: PLC0415 - it takes a while

            path = f"tenants/{quote(tenant, safe='')}/databases/{quote(database, safe='')}"
            probe(url, path, "name", headers=sent, timeout=timeout, address=address)
            settings = _settings(headers=sent)
            client = chromadb.HttpClient(host=url, tenant=tenant, database=database, settings=settings)
            return _with_timeout(client, timeout)

        is_cloud = (urlsplit(url).hostname or "").endswith(_CLOUD.removeprefix("https://api"))
        records = _CLOUD_RECORDS if is_cloud else _RECORDS
        return cls(connect, address=address, owned=True, timeout=timeout, records=records)

    @classmethod
    def embedded(cls, path: str | Path) -> ChromaClient:
        """Return a client of a database in a folder of this machine, which this process opens itself.

        Only one process at a time should write to such a folder.

        Args:
            path: The folder; it is made when it is not there.
        """

        def connect() -> Any:
            import chromadb  # noqa: PLC0415 - it takes a while

            _engine_is_ours()
            return chromadb.PersistentClient(str(path), settings=_settings())

        return cls(connect, address=str(path), owned=True, timeout=None, records=_RECORDS)

    @classmethod
    def cloud(
        cls,
        api_key: str,
        *,
        tenant: str | None = None,
        database: str | None = None,
        timeout: float = _TIMEOUT_SECONDS,
    ) -> ChromaClient:
        """Return a client of Chroma Cloud.

        Args:
            api_key: The key, as Chroma Cloud's settings give it.
            tenant: The tenant; the key's own when left out. So is the next one.
            database: The database.
            timeout: The most seconds that a call may take.

        Raises:
            ConfigurationError: The key has a character that none has.
        """
        check_sendable(api_key, "the key")

        def connect() -> Any:
            import chromadb  # noqa: PLC0415 - it takes a while

            probe(_CLOUD, "heartbeat", "nanosecond heartbeat", headers=None, timeout=timeout, address=_CLOUD)
            client = chromadb.CloudClient(tenant=tenant, database=database, api_key=api_key, settings=_settings())
            return _with_timeout(client, timeout)

        return cls(connect, address=_CLOUD, owned=True, timeout=timeout)

    @classmethod
    def of(cls, client: Any, *, timeout: float = _TIMEOUT_SECONDS) -> ChromaClient:
        """Return a client that uses one of chromadb's that the app already has, blocking or asynchronous.

        It stays the app's: `close` leaves it open. As chromadb's clients wait for ever, and cannot be told otherwise,
        those of its connections that have no timeout get this one: a server that fell silent would hold a thread for
        good with each call.
        """

        def connect() -> Any:
            return _with_timeout(client, timeout)

        return cls(connect, address="the app's own client", owned=False, timeout=timeout)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def call(self, name: str, /, **arguments: Any) -> Any:
        """Call a method of chromadb's client, by its name and with the arguments that chromadb documents.

        Raises:
            ChatStoreError: As `failures.translated` says.
        """
        client = await self._connected()
        return await self.run(getattr(client, name), **arguments)

    async def run(self, method: Callable[..., Any], /, **arguments: Any) -> Any:
        """Call a method of one of chromadb's objects that came from this client, with the arguments that it takes.

        Raises:
            ChatStoreError: As `failures.translated` says.
        """
        try:
            async with asyncio.timeout(self._timeout):
                if inspect.iscoroutinefunction(method):
                    return await method(**arguments)
                return await self._in_thread(partial(method, **arguments))
        except Exception as error:  # noqa: BLE001 - it becomes one of ours
            raise translated(error, self.address) from tellable(error)

    async def batch_limit(self) -> int:
        """Return how many records one write may hold at most."""
        if self._limit is None:
            self._limit = int(await self.call("get_max_batch_size"))
        return self._limit

    async def close(self) -> None:
        """Wait for the calls under way and disconnect; a client that the app gave stays open. Twice is harmless."""
        await asyncio.to_thread(self._threads.shutdown)
        client, self._client = self._client, None
        if self._owned and client is not None:
            await asyncio.to_thread(_close, client)

    async def _connected(self) -> Any:
        if self._client is None:
            try:
                # Before the time for an answer begins: on a busy machine it takes longer than any server.
                await self._in_thread(_load_library)
                async with asyncio.timeout(self._timeout):
                    attempt = asyncio.wrap_future(self._connection())
                    # Where this call gives up, nobody else is left to hear how the attempt ended.
                    attempt.add_done_callback(_heard)
                    self._client = await asyncio.shield(attempt)
            except ChatStoreError:
                raise
            except ValueError:
                # chromadb wraps whatever went wrong while it looked for the tenant into a ValueError.
                raise UnavailableError(
                    f"cannot open Chroma at {self.address}: check that it runs, its tenant, its database and the key"
                ) from None
            except Exception as error:  # noqa: BLE001 - it becomes one of ours
                raise translated(error, self.address) from tellable(error)
        return self._client

    def _connection(self) -> Future[Any]:
        """Return the one attempt to connect that is under way, whoever began it; chromadb takes no two at once."""
        now = time.monotonic()
        hangs = self._timeout is not None and now - self._connecting_since > _ATTEMPT * self._timeout
        if self._connecting is None or self._connecting.done() or hangs:
            self._connecting, self._connecting_since = self._threads.submit(self._connect), now
        return self._connecting

    async def _in_thread(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def _load_library() -> None:
    import chromadb  # noqa: F401, PLC0415 - it takes a while


def _heard(attempt: asyncio.Future[Any]) -> None:
    if not attempt.cancelled():
        attempt.exception()


def _engine_is_ours() -> None:
    """Note that this process uses chromadb's engine.

    Raises:
        UnsupportedError: Its parent did before the fork: the engine has lost its threads then, and would never answer.
    """
    global _engine_user  # noqa: PLW0603 - there is one engine a process
    if _engine_user is None:
        _engine_user = os.getpid()
    if _engine_user != os.getpid():
        raise UnsupportedError(
            "an embedded Chroma cannot be used in a process that was forked after its parent had used one: "
            "fork before the first call, or use a Chroma server (CHROMA_URL)"
        )


def _settings(headers: dict[str, str] | None = None) -> Any:
    from chromadb.config import Settings  # noqa: PLC0415 - it takes a while

    return Settings(anonymized_telemetry=False, chroma_server_headers=headers)


def _with_timeout(client: Any, seconds: float) -> Any:
    for session in _sessions(client):
        if session.timeout == httpx.Timeout(None):
            session.timeout = httpx.Timeout(seconds)
    return client


def _close(client: Any) -> None:
    client.close()
    for session in _sessions(client):
        session.close()


def _sessions(client: Any) -> list[httpx.Client]:
    """Return the HTTP sessions of chromadb's client; an embedded one has none.

    chromadb makes one for itself and one for its admin client, both without a timeout and with no setting for one, and
    leaves both open when it is closed.
    """
    servers = [getattr(part, "_server", None) for part in (client, getattr(client, "_admin_client", None))]
    return [session for server in servers if isinstance(session := getattr(server, "_session", None), httpx.Client)]
