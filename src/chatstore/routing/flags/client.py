"""The OpenFeature client that is asked for stages: of the app's own provider, or of one that reads the flag file."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.provider import FeatureProvider, ProviderStatus

from chatstore.errors import ConfigurationError
from chatstore.routing.flags.provider import ProviderWatch

logger = logging.getLogger("chatstore.routing")

DOMAIN = "chatstore"
"""The domain of OpenFeature whose provider is asked where an app names no other."""

_READY_WITHIN = 2.0
_LOOK_EVERY = 0.02


@asynccontextmanager
async def flag_client(
    flags: OpenFeatureClient | str = DOMAIN, flag_file: Path | None = None
) -> AsyncIterator[tuple[OpenFeatureClient, ProviderWatch]]:
    """Give the client that knows the stages, and what listens to its provider.

    An app's own provider that is still getting ready is waited for, for two seconds; after that the app starts without
    it, by the rules for a provider that fails.

    Args:
        flags: A domain of OpenFeature, or a client of the app's own, whose hooks and evaluation context count, too.
        flag_file: The file that the provider of that domain is to read; None where the app has set a provider.

    Raises:
        ConfigurationError: The flag file cannot be read, or the extra for it is missing, or the client has no domain to
            which a provider for it could be bound.
    """
    client = api.get_client(domain=flags) if isinstance(flags, str) else flags
    watch = ProviderWatch(client)
    if flag_file is None:
        if not await _got_ready(client):
            logger.warning("the flag provider is not ready yet: until it is, stages come from what is recorded")
        with _listening(watch):
            yield client, watch
        return
    if client.domain is None:
        raise ConfigurationError(
            f"CHATSTORE_FLAG_FILE names {flag_file}, and `flags` is a client of OpenFeature's default provider: "
            "give a client of a domain, to which the file's provider can be bound, or leave the setting out"
        )
    if not await asyncio.to_thread(flag_file.exists):
        raise ConfigurationError(
            f"CHATSTORE_FLAG_FILE names {flag_file}, which is not there: make it with `chatstore stage chat off`"
        )
    with _reading(flag_file, client.domain), _listening(watch):
        yield client, watch


async def _got_ready(client: OpenFeatureClient) -> bool:
    """Wait for a provider that is getting ready; return whether it came to an end with that, a good one or not."""
    for _ in range(int(_READY_WITHIN / _LOOK_EVERY)):
        if client.get_provider_status() is not ProviderStatus.NOT_READY:
            return True
        await asyncio.sleep(_LOOK_EVERY)
    return client.get_provider_status() is not ProviderStatus.NOT_READY


@contextmanager
def _listening(watch: ProviderWatch) -> Iterator[None]:
    watch.start()
    try:
        yield
    finally:
        watch.stop()


@dataclass(slots=True)
class _FileInUse:
    """A provider that reads a flag file, and how many stores are open that ask it."""

    path: Path
    provider: FeatureProvider
    users: int = 0


_lock = threading.Lock()
_in_use: dict[str, _FileInUse] = {}
"""By domain: several stores of a process may be open, and the first that is closed must not blind the others."""


@contextmanager
def _reading(path: Path, domain: str) -> Iterator[None]:
    """Have the domain's provider read a flag file, until nobody in this process needs it any more."""
    with _lock:
        if (file := _in_use.get(domain)) is None:
            file = _in_use[domain] = _FileInUse(path, _bound_provider(path, domain))
        elif file.path != path:
            raise ConfigurationError(
                f"the provider of OpenFeature's domain {domain} reads the flag file {file.path} for other stores that "
                f"are open, and cannot read {path}, too: open these with a domain of their own, `flags=…`"
            )
        file.users += 1
    try:
        yield
    finally:
        with _lock:
            file.users -= 1
            if not file.users and _in_use.get(domain) is file:
                del _in_use[domain]
                _unbind(file.provider, domain)


def _bound_provider(path: Path, domain: str) -> FeatureProvider:
    provider = _file_provider(path)
    try:
        # It must have come to the end of its beginning, not only be ready: until then it takes a file that is replaced
        # for the one that it has read.
        api.set_provider_and_wait(provider, domain)
    except Exception as error:
        _unbind(provider, domain)
        raise ConfigurationError(f"the flag file {path} cannot be read: check that it is valid JSON") from error
    return provider


def _unbind(provider: FeatureProvider, domain: str) -> None:
    """Have nobody answer in the domain for a file that is no longer looked at; OpenFeature shuts the provider down."""
    if api.get_client(domain=domain).provider is provider:  # not if the app has set one of its own meanwhile
        # OpenFeature takes no provider away. Of a domain without one, it asks the default provider.
        api.set_provider(api.get_client().provider, domain)


def _file_provider(path: Path) -> FeatureProvider:
    try:
        from openfeature.contrib.provider.flagd import FlagdProvider  # noqa: PLC0415 - an extra
        from openfeature.contrib.provider.flagd.config import ResolverType  # noqa: PLC0415
    except ImportError as error:
        raise ConfigurationError(
            "CHATSTORE_FLAG_FILE is read by OpenFeature's flagd provider: pip install 'chatstore[flagd]'"
        ) from error
    return FlagdProvider(resolver_type=ResolverType.FILE, offline_flag_source_path=str(path))


def _forget_the_parents() -> None:
    """In a forked child: the thread that reads the file is not there, and a thread that held the lock is not either."""
    global _lock  # noqa: PLW0603 - the lock that there was may be held for good
    _lock = threading.Lock()
    _in_use.clear()


if hasattr(os, "register_at_fork"):  # not where there is no fork
    os.register_at_fork(after_in_child=_forget_the_parents)
