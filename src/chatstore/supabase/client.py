"""The client through which the stores of this package reach one Supabase project."""

from __future__ import annotations

import asyncio
import random
from typing import Any, Final, Self
from urllib.parse import urlsplit

import httpx
from postgrest import APIError, AsyncPostgrestClient
from supabase import AsyncClient, AsyncClientOptions

from chatstore.errors import ConfigurationError, InvalidRecordError, UnavailableError
from chatstore.supabase.functions import Functions
from chatstore.supabase.schema import check_version
from chatstore.supabase.translation import lost_a_race, translated

_ATTEMPTS: Final = 5
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class SupabaseClient(Functions):
    """Calls chatstore's functions in a Supabase project, always with the same key or token.

    Its requests' headers are made once. So a client that passes row-level security never turns into a user's, nor a
    user's into one that does, whatever the app does with the client that it gave.
    """

    def __init__(self, client: AsyncClient, *, token: str | None = None) -> None:
        """Use a client that the app already has. It stays the app's: it is not closed here.

        Args:
            client: Made with the secret key (or the older service-role key), to be a side of a migration.
            token: A user's own token, to make the requests with it instead of the key.
        """
        self._client = client
        self._url = str(client.supabase_url).rstrip("/")
        self._requests = AsyncPostgrestClient(
            f"{self._url}/rest/v1",
            headers={
                "apikey": client.supabase_key,
                "Authorization": f"Bearer {token or client.supabase_key}",
                "Content-Type": "application/json",
            },
            http_client=client.postgrest.session,
        )
        # For a whole request: httpx counts each wait for data anew, so that a trickle would never end.
        self._answer_within = client.postgrest.session.timeout.read
        self._schema = _SchemaCheck()
        self._owned: httpx.AsyncClient | None = None

    @classmethod
    def connect(cls, url: str, key: str, *, timeout: float = 10.0) -> Self:
        """Make a client for a project. Nothing is sent yet.

        Args:
            url: `SUPABASE_URL`.
            key: A secret or publishable key (`sb_secret_…`, `sb_publishable_…`), or an older one, which is a JWT.
            timeout: After how many seconds without an answer a request is given up.

        Raises:
            ConfigurationError: The URL is no URL, or the key is empty.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError("SUPABASE_URL is not the URL of a Supabase project: https://….supabase.co")
        if not key:
            raise ConfigurationError("the Supabase key is empty: set SUPABASE_SECRET_KEY")
        session = httpx.AsyncClient(
            timeout=httpx.Timeout(timeout, connect=min(timeout, 5.0)),
            # Shorter than any server keeps an idle connection: else a request could go out on one just being closed.
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=32, keepalive_expiry=4.0),
            # A proxy that the environment names does not lead to this machine itself.
            trust_env=parts.hostname not in _LOOPBACK,
        )
        options = AsyncClientOptions(httpx_client=session, auto_refresh_token=False, persist_session=False)
        made = cls(AsyncClient(url, key, options))
        made._owned = session
        return made

    def as_user(self, token: str) -> SupabaseClient:
        """Return a client that makes its requests with a user's own token; it shares this one's connections.

        Args:
            token: The user's JWT (Supabase's own, or that of a third party that the project trusts, such as Clerk).
        """
        client = SupabaseClient(self._client, token=token)
        client._schema = self._schema
        return client

    async def schema_version(self) -> int:
        """Return which version of chatstore's schema the database has.

        Raises:
            SchemaError: It has none.
            ConfigurationError: What answers is not Supabase.
        """
        version = await self._send("chatstore_version", {})
        if not isinstance(version, int):
            raise ConfigurationError(f"what answers at {self._url} is not Supabase's API: is SUPABASE_URL right?")
        return version

    async def close(self) -> None:
        """Close the connections, unless they are those of a client that the app gave."""
        if self._owned is not None:
            await self._owned.aclose()

    async def ask(self, function: str, request: str) -> Any:
        await self._schema.passed(self)
        return await self._send(function, {"request": request})

    def not_ours(self) -> UnavailableError:
        return UnavailableError(
            f"what answers at {self._url} is not chatstore's part of Supabase: is SUPABASE_URL right, and does a proxy "
            f"answer in its place?"
        )

    async def _send(self, function: str, parameters: dict[str, str]) -> Any:
        try:
            async with asyncio.timeout(self._answer_within):
                return await self._send_until_won(function, parameters)
        except TimeoutError as error:
            raise translated(error, self._url) from error

    async def _send_until_won(self, function: str, parameters: dict[str, str]) -> Any:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return (await self._requests.rpc(function, parameters).execute()).data
            except APIError as error:
                if lost_a_race(error) and attempt < _ATTEMPTS:
                    await asyncio.sleep(random.uniform(0, 0.02 * 2**attempt))  # noqa: S311 - to part rivals
                    continue
                meaning = translated(error, self._url)
                # Postgres quotes the record that it refuses; that must not be seen in a traceback.
                raise meaning from (None if isinstance(meaning, InvalidRecordError) else error)
            except httpx.HTTPError as error:
                raise translated(error, self._url) from error
            except (ValueError, RecursionError) as error:  # the client library makes records of what is no JSON for it
                raise self.not_ours() from error
        raise AssertionError("unreachable")


class _SchemaCheck:
    """Whether the database's schema is the one that this release works with; asked once, before the first call."""

    def __init__(self) -> None:
        self._passed = False

    async def passed(self, client: SupabaseClient) -> None:
        if self._passed:
            return
        check_version(await client.schema_version())
        self._passed = True
