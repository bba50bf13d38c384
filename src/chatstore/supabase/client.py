"""The client through which the stores of this package reach one Supabase project."""

from __future__ import annotations

import asyncio
import random
from typing import Any, Final, Self
from urllib.parse import urlsplit

import httpx
from postgrest import APIError, AsyncPostgrestClient
from supabase import AsyncClient, AsyncClientOptions

from chatstore.errors import (
    ChatStoreError,
    ConfigurationError,
    TokenRefusedError,
    UnavailableError,
)
from chatstore.identity import UserToken
from chatstore.supabase.functions import Functions
from chatstore.supabase.keys import check_secret_key
from chatstore.supabase.quiet import keep_headers_out_of_the_log
from chatstore.supabase.schema import check_version
from chatstore.supabase.translation import is_of_the_token, lost_a_race, tellable, translated

_ATTEMPTS: Final = 5
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class SupabaseClient(Functions):
    """Calls chatstore's functions in a Supabase project, always with the same key or token.

    It is either a `ServiceClient` or a `UserClient`, and never turns from one into the other: its requests' headers are
    made once, whatever the app does with the client that it gave.
    """

    _owned: httpx.AsyncClient | None = None

    def __init__(self, client: AsyncClient, *, api_key: str, bearer: str, schema: SchemaCheck) -> None:
        if not all(text.isascii() and text.isprintable() and " " not in text for text in (api_key, bearer)):
            # What is sent would quote it.
            raise ConfigurationError("the Supabase key or token has a space or a line break in it: copy it once more")
        keep_headers_out_of_the_log()
        self._client = client
        self._url = str(client.supabase_url).rstrip("/")
        parts = urlsplit(self._url)
        self._address = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
        self._requests = AsyncPostgrestClient(
            f"{self._url}/rest/v1",
            headers={"apikey": api_key, "Authorization": f"Bearer {bearer}", "Content-Type": "application/json"},
            http_client=client.postgrest.session,
        )
        # For a whole request: httpx counts each wait for data anew, so that a trickle would never end.
        self._answer_within = client.postgrest.session.timeout.read
        self._schema = schema

    async def schema_version(self) -> int:
        """Return which version of chatstore's schema the database has.

        Raises:
            SchemaError: It has none.
            ConfigurationError: What answers is not Supabase.
        """
        version = await self._send("chatstore_version", {})
        if not isinstance(version, int):
            raise ConfigurationError(f"what answers at {self._address} is not Supabase's API: is SUPABASE_URL right?")
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
            f"what answers at {self._address} is not chatstore's part of Supabase: is SUPABASE_URL right, and does a "
            f"proxy answer in its place?"
        )

    async def _send(self, function: str, parameters: dict[str, str]) -> Any:
        try:
            async with asyncio.timeout(self._answer_within):
                return await self._send_until_won(function, parameters)
        except TimeoutError as error:
            raise translated(error, self._address) from error

    async def _send_until_won(self, function: str, parameters: dict[str, str]) -> Any:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return (await self._requests.rpc(function, parameters).execute()).data
            except APIError as error:
                if lost_a_race(error) and attempt < _ATTEMPTS:
                    await asyncio.sleep(random.uniform(0, 0.02 * 2**attempt))  # noqa: S311 - to part rivals
                    continue
                raise self._meaning(error) from tellable(error)
            except httpx.HTTPError as error:
                raise translated(error, self._address) from tellable(error)
            except (ValueError, RecursionError):  # the client library makes records of what is no JSON for it
                raise self.not_ours() from None  # it quotes what it is
        raise AssertionError("unreachable")

    def _meaning(self, error: APIError) -> ChatStoreError:
        return translated(error, self._address)


class ServiceClient(SupabaseClient):
    """A client with a project's secret key, which passes row-level security: for a migration and trusted servers.

    Everything that is not one user's asks for it by this type: the journal, and what a migration reads and writes.
    """

    def __init__(self, client: AsyncClient, *, publishable_key: str | None = None) -> None:
        """Use a client that the app already has. It stays the app's: it is not closed here.

        Args:
            client: Made with the secret key (or the older service-role key).
            publishable_key: The project's public key, with which users' requests go out beside their tokens; without
                it, the secret key names the project in these, too, and the token alone decides what they may.

        Raises:
            ConfigurationError: The client was made with the publishable key, or with a user's token.
        """
        key = check_secret_key(client.supabase_key)
        super().__init__(client, api_key=key, bearer=key, schema=SchemaCheck())
        self._users_key = publishable_key or key

    @classmethod
    def connect(cls, url: str, key: str, *, publishable_key: str | None = None, timeout: float = 10.0) -> Self:
        """Make a client for a project. Nothing is sent yet.

        Args:
            url: `SUPABASE_URL`.
            key: A secret key (`sb_secret_…`), or an older one, which is a JWT of the role `service_role`.
            publishable_key: As of the class.
            timeout: After how many seconds without an answer a request is given up.

        Raises:
            ConfigurationError: The URL is no URL, or the key is none of these.
        """
        client, session = _connected(url, check_secret_key(key), timeout)
        made = cls(client, publishable_key=publishable_key)
        made._owned = session
        return made

    def as_user(self, token: UserToken) -> UserClient:
        """Return a client that makes its requests with a user's own token; it shares this one's connections."""
        return UserClient(self._client, token, publishable_key=self._users_key, schema=self._schema)


class UserClient(SupabaseClient):
    """A client with one user's token: row-level security shows it this user's own records.

    Attributes:
        user_id: Whose token it is.
    """

    def __init__(
        self, client: AsyncClient, token: UserToken, *, publishable_key: str, schema: SchemaCheck | None = None
    ) -> None:
        """Use the connections of a client of any kind; its own key is not used.

        Args:
            client: It stays its maker's.
            token: The user's token: Supabase's own, or that of a third party that the project trusts, such as Clerk.
            publishable_key: Names the project to Supabase's gateway.
            schema: Whether the database's schema is known to be the right one.

        Raises:
            ConfigurationError: The token is a text or anything else of which nobody has said that it was verified.
        """
        if not isinstance(token, UserToken):
            raise ConfigurationError("a user's client needs a UserToken: verify the text with a TokenVerifier first")
        super().__init__(client, api_key=publishable_key, bearer=token.text, schema=schema or SchemaCheck())
        self._token = token
        self.user_id = token.user_id

    async def ask(self, function: str, request: str) -> Any:
        self._token.check()
        return await super().ask(function, request)

    def _meaning(self, error: APIError) -> ChatStoreError:
        if is_of_the_token(error):
            return TokenRefusedError(
                f"Supabase at {self._address} does not accept the user's token: it has expired, or the project does "
                "not trust its issuer (Authentication, Third-Party Auth)"
            )
        return super()._meaning(error)


def require_service(client: object, what: str) -> ServiceClient:
    """Return the client that was given, if it is a service's.

    Raises:
        ConfigurationError: It is a user's.
    """
    if not isinstance(client, ServiceClient):
        raise ConfigurationError(
            f"{what} needs a ServiceClient, which has SUPABASE_SECRET_KEY; a user's reaches nothing"
        )
    return client


def _connected(url: str, key: str, timeout: float) -> tuple[AsyncClient, httpx.AsyncClient]:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ConfigurationError("SUPABASE_URL is no URL: https://….supabase.co") from None  # it would quote a part
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError("SUPABASE_URL is not the URL of a Supabase project: https://….supabase.co")
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(
            "SUPABASE_URL has a user or a password in it, which would take the key's place: leave it out"
        )
    session = httpx.AsyncClient(
        timeout=httpx.Timeout(timeout, connect=min(timeout, 5.0)),
        # Shorter than any server keeps an idle connection: else a request could go out on one just being closed.
        limits=httpx.Limits(max_connections=64, max_keepalive_connections=32, keepalive_expiry=4.0),
        # A proxy that the environment names does not lead to this machine itself.
        trust_env=parts.hostname not in _LOOPBACK,
    )
    options = AsyncClientOptions(httpx_client=session, auto_refresh_token=False, persist_session=False)
    return AsyncClient(url, key, options), session


class SchemaCheck:
    """Whether the database's schema is the one that this release works with; asked once, before the first call."""

    def __init__(self) -> None:
        self._passed = False

    async def passed(self, client: SupabaseClient) -> None:
        if self._passed:
            return
        check_version(await client.schema_version())
        self._passed = True
