"""The public keys that an issuer signs its tokens with: fetched when they are needed, and kept."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import Final
from urllib.parse import urlsplit

import httpx
from jwt import PyJWK, PyJWKSet

from chatstore.errors import ConfigurationError, TokenRefusedError, UnavailableError

logger = logging.getLogger("chatstore.identity")

ALGORITHMS: Final = ("RS256", "ES256")
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_LARGEST: Final = 1 << 20


class IssuerKeys:
    """The keys of one issuer, by their ids.

    They are fetched when they are first asked for, again when they are `lifetime` old, and when a token names one that
    is not among them, as after a rotation; but never more than once in `pause` seconds, whatever tokens name. Whoever
    asks meanwhile waits for the one fetch that is under way. When the issuer does not answer, the keys that it last
    gave are taken for `keep` seconds more.

    Args:
        url: Where the issuer has its JWKS (RFC 7517).
        lifetime: How old, in seconds, keys may grow before they are fetched again.
        pause: How many seconds lie between two fetches at the least.
        keep: For how many seconds keys are taken that could not be fetched again.
        timeout: After how many seconds a fetch is given up.

    Raises:
        ConfigurationError: The URL is none that keys can be trusted from: it must begin with https://, except on this
            machine.
    """

    def __init__(
        self,
        url: str,
        *,
        lifetime: float = 600.0,
        pause: float = 10.0,
        keep: float = 86_400.0,
        timeout: float = 5.0,
    ) -> None:
        parts = urlsplit(url)
        local = parts.hostname in _LOOPBACK
        if not parts.hostname or parts.scheme not in (("https", "http") if local else ("https",)):
            raise ConfigurationError(
                "the issuer's keys must come by https://: is CHATSTORE_TOKEN_ISSUER its whole URL?"
            )
        self._url = url
        self._local = local
        self._lifetime = lifetime
        self._pause = pause
        self._keep = keep
        self._timeout = timeout
        self._keys: dict[str, PyJWK] = {}
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._failure = ""
        self._fetching: asyncio.Task[None] | None = None

    async def key(self, name: str) -> PyJWK:
        """Return the key of an id.

        Raises:
            TokenRefusedError: The issuer has no such key.
            UnavailableError: The issuer's keys are not known, and cannot be fetched now.
        """
        if (name not in self._keys or self._age() >= self._lifetime) and self._may_fetch():
            await self._fetch_once()
        if self._fetched_at is None or self._age() >= self._lifetime + self._keep:
            raise UnavailableError(
                f"the keys at {self._url}, by which users' tokens are verified, cannot be had ({self._failure}): is "
                "the issuer up, is CHATSTORE_TOKEN_ISSUER right?"
            )
        if name not in self._keys:
            raise TokenRefusedError("the token is signed with a key that the issuer does not name")
        return self._keys[name]

    def _age(self) -> float:
        return float("inf") if self._fetched_at is None else time.monotonic() - self._fetched_at

    def _may_fetch(self) -> bool:
        return (
            self._under_way() is not None
            or self._tried_at is None
            or (time.monotonic() - self._tried_at >= self._pause)
        )

    def _under_way(self) -> asyncio.Task[None] | None:
        """The fetch that all wait for; not one of another event loop, nor of the process that this was forked from."""
        task = self._fetching
        return task if task is not None and not task.done() and task.get_loop() is asyncio.get_running_loop() else None

    async def _fetch_once(self) -> None:
        task = self._under_way()
        if task is None:
            self._tried_at = time.monotonic()
            task = self._fetching = asyncio.create_task(self._fetch())
        # Whoever goes away takes the fetch from nobody: else it could be provoked again and again.
        await asyncio.shield(task)

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                keys = _usable_keys(await self._read())
        except Exception as error:  # noqa: BLE001 - whatever it answers, nobody is let in by it, and the old keys stay
            self._failure = str(error) if isinstance(error, _NotKeysError) else type(error).__name__
            logger.warning("the keys at %s could not be fetched: %s", self._url, self._failure)
            return
        self._keys = keys
        self._fetched_at = time.monotonic()

    async def _read(self) -> object:
        # A TLS context reads a file of certificates: not in the event loop.
        verify = False if self._url.startswith("http://") else await asyncio.to_thread(httpx.create_ssl_context)
        async with (
            httpx.AsyncClient(verify=verify, timeout=self._timeout, trust_env=not self._local) as http,
            http.stream("GET", self._url, headers={"Accept": "application/json"}) as answer,
        ):
            if answer.status_code != httpx.codes.OK:
                raise _NotKeysError(f"it answers with status {answer.status_code}")
            body = b""
            async for part in answer.aiter_bytes():
                body += part
                if len(body) > _LARGEST:
                    raise _NotKeysError("it answers with more than a megabyte")
        return json.loads(body)


class _NotKeysError(Exception):
    """What an issuer answers is not its keys."""


def _usable_keys(document: object) -> dict[str, PyJWK]:
    """Those keys of a JWKS by which tokens can be verified: public ones for signatures, with an id."""
    named = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(named, list):
        raise _NotKeysError("what it answers is no JWKS")
    keys = {
        key.key_id: key
        for key in PyJWKSet(named)
        if key.algorithm_name in ALGORITHMS and key.public_key_use in (None, "sig") and isinstance(key.key_id, str)
    }
    if not keys:
        raise _NotKeysError(f"it names no key for {' or '.join(ALGORITHMS)}")
    return keys
