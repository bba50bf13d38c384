"""What an app opens: its chat store and its document store, routed by the stage of each call."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.provider import ProviderStatus

from chatstore.backends import Backends
from chatstore.errors import ConfigurationError, UnsupportedError
from chatstore.forgetting import Forgetting, forget
from chatstore.identity import TokenVerifier, UserToken
from chatstore.interfaces import ChatHistoryStore, DocumentStore, Embedder, UserChat, UserDocuments
from chatstore.models import Backlog, Forgotten, Kind, Side
from chatstore.old_layouts import OwnersGiven, UnownedError, UsersGiven
from chatstore.routing import (
    ChatRouter,
    DocumentRouter,
    Sides,
    StageResolver,
    chat_repairer,
    chat_replicator,
    document_repairer,
    document_replicator,
)
from chatstore.routing.sides import S
from chatstore.settings import Settings, load_settings

if TYPE_CHECKING:
    from chromadb.api import ClientAPI
    from redis.asyncio import Redis, RedisCluster
    from supabase import AsyncClient

    from chatstore.redis import ForeignWrites
    from chatstore.supabase import TokenOf

logger = logging.getLogger("chatstore")

DOMAIN = "chatstore"
_READY_WITHIN = 10.0
_REPAIR_EVERY = 5.0
_YOUNG = timedelta(seconds=10)
"""Marks younger than this are most likely of writes that are still under way."""
_NO_CHAT = (
    "there is no chat store: set REDIS_URL (and a layout with chats), or SUPABASE_URL with its secret key, or both"
)
_NO_DOCUMENTS = (
    "there is no document store: set REDIS_URL (and a layout with documents), or one of Chroma's settings, or both"
)


class UserStores:
    """An app's chat store and document store as one user has them: by that user's token, and without his id.

    Attributes:
        user_id: Whose they are.
        token: The token.
    """

    def __init__(self, stores: Stores, token: UserToken) -> None:
        self._stores = stores
        self.token = token
        self.user_id = token.user_id

    @cached_property
    def chat(self) -> UserChat:
        """The user's sessions and messages.

        Raises:
            ConfigurationError: As of `Stores.chat`.
        """
        return UserChat(self._stores.chat, self.token)

    @cached_property
    def documents(self) -> UserDocuments:
        """The user's documents.

        Raises:
            ConfigurationError: As of `Stores.documents`.
        """
        return UserDocuments(self._stores.documents, self.token)


class Stores:
    """An app's chat store and document store."""

    def __init__(
        self,
        chat: ChatHistoryStore | None,
        documents: DocumentStore | None,
        *,
        why_none: Mapping[Kind, str] | None = None,
        forgetting: Forgetting | None = None,
        verifier: TokenVerifier | None = None,
    ) -> None:
        self._chat = chat
        self._documents = documents
        self._why_none = why_none or {}
        self._forgetting = forgetting
        self._verifier = verifier

    @property
    def chat(self) -> ChatHistoryStore:
        """Sessions and messages.

        Raises:
            ConfigurationError: The settings name no side for them, or do not say whose they are.
        """
        if self._chat is None:
            raise ConfigurationError(self._why_none.get(Kind.CHAT, _NO_CHAT))
        return self._chat

    @property
    def documents(self) -> DocumentStore:
        """Documents with embeddings.

        Raises:
            ConfigurationError: The settings name no side for them, or do not say whose they are.
        """
        if self._documents is None:
            raise ConfigurationError(self._why_none.get(Kind.DOCUMENTS, _NO_DOCUMENTS))
        return self._documents

    async def for_user(self, token: str | UserToken) -> UserStores:
        """Return the stores as one user has them, by the token that came with that user's request.

        Every call on them is for the token's user, on both sides and at every stage, whatever the app passes; Supabase
        is asked with the token itself, so that row-level security holds, too. They are good until the token expires,
        and cost next to nothing: make them anew for each request.

        Args:
            token: A text is verified first, by CHATSTORE_TOKEN_ISSUER or the `verifier` that the stores were opened
                with. A `UserToken` is taken as it is.

        Raises:
            TokenRefusedError: The token is not taken; the message says why.
            UnavailableError: The issuer's keys are not known, and cannot be fetched now.
            ConfigurationError: It is a text, and nothing says who signs users' tokens.
        """
        if not isinstance(token, UserToken):
            if self._verifier is None:
                raise ConfigurationError(
                    "nothing says who signs users' tokens: set CHATSTORE_TOKEN_ISSUER, or open the stores with a "
                    "`verifier`; where the app verifies them itself, give `UserToken.verified_elsewhere(token)`"
                )
            token = await self._verifier.verify(token)
        token.check()
        return UserStores(self, token)

    async def backlog(self) -> dict[Kind, Backlog]:
        """Return how far the two sides of each kind are apart; nothing of a kind that has one side only.

        Raises:
            UnavailableError: A side did not answer.
        """
        return {kind: await router.sides.backlog() for kind, router in _routers(self._chat, self._documents).items()}

    async def forget(self, user_id: str, *, dry_run: bool = False) -> dict[Kind, Forgotten]:
        """Delete all that is held of a user, on every side that the settings name; return what came of it, by kind.

        It is the same at every stage. What was acknowledged before the call began is gone on all sides when it
        returns, also while a backfill runs; what is written beside it is gone or stays, a session or a document as a
        whole; what is written after it stays. Calling it again finishes what was interrupted.

        Args:
            user_id: Whose.
            dry_run: Only count.

        Raises:
            InvalidRecordError: There can be no such user id.
            UnavailableError: A side did not answer. What the other one holds is deleted all the same, and marked.
            BusyError: Others were at work on the user's records for two minutes: call it again.
        """
        if self._forgetting is None:
            raise ConfigurationError("these stores were not opened by `chatstore.open`: nothing can be forgotten")
        return await self._forgetting(user_id, dry_run=dry_run)

    async def close(self) -> None:
        """Finish what is under way; what the second side lacks then stays marked."""
        async with AsyncExitStack() as closing:
            for store in (self._chat, self._documents):
                if store is not None:
                    closing.push_async_callback(store.close)


@asynccontextmanager
async def open_stores(
    settings: Settings | None = None,
    *,
    embedder: Embedder | None = None,
    redis: Redis | RedisCluster | None = None,
    supabase: AsyncClient | None = None,
    chroma: ClientAPI | None = None,
    token_of: TokenOf | None = None,
    verifier: TokenVerifier | None = None,
    owners: OwnersGiven | None = None,
    document_owners: OwnersGiven | None = None,
    users: UsersGiven | None = None,
    inline: bool = False,
    repair: bool = True,
    notice: bool = False,
) -> AsyncGenerator[Stores, None]:
    """Open the stores that the settings name.

    Where only one side of a kind is known, its store is given as it is: without a new side, as at stage `off` with no
    migration in sight; without an old one, as after it.

    Args:
        settings: Where the servers are; read from the environment and `.env.local` when left out.
        embedder: A coroutine function from texts to embeddings, for documents and queries that bring none.
        redis: A client that the app has already (of `redis.asyncio`); it stays the app's. So do the next two.
        supabase: A client that was made with the secret key.
        chroma: A client, embedded or of a server.
        token_of: A coroutine function from a user id to that user's own Supabase token (a Clerk session token, say).
            With it, what the app asks for a user goes to Supabase with that token, under row-level security. Without
            it, the secret key is used, and the user id that the app gives is all that keeps users apart. A text that
            it returns must have been verified by the app. Better: `stores.for_user(token)`.
        verifier: Verifies the texts that `stores.for_user` is given, instead of one that the settings make.
        owners: Whose a session is, where its layout in Redis does not say: a function from the key to the user's id
            there (None: nobody's), a dictionary, or an `Owners`; instead of the setting CHATSTORE_OWNERS.
        document_owners: Whose a document is; as `owners`.
        users: What the users' ids in Redis have become, where the app has others now: a dictionary from old ids to new
            ones, or a `Users`; instead of the setting CHATSTORE_USERS.
        inline: Write the second side before a write returns, instead of in the background.
        repair: Merge in the background, every few seconds, what the second side missed. Any number of processes may.
        notice: Mark what other programs write to Redis directly, where the server tells of it (see the guide); the log
            says so where it does not. One process is enough, an app's or `chatstore repair --watch`.

    Raises:
        ConfigurationError: A setting is missing or malformed.
    """
    given = settings or load_settings()
    async with AsyncExitStack() as closing:
        backends = await closing.enter_async_context(
            Backends(
                given,
                embedder=embedder,
                redis=redis,
                supabase=supabase,
                chroma=chroma,
                token_of=token_of,
                bulk=False,
                owners=owners,
                document_owners=document_owners,
                users=users,
            )
        )
        flags = await _flags(given.flag_file, closing)
        why_none = _unowned(backends)
        chat = None if Kind.CHAT in why_none else await _chat(backends, flags, inline=inline)
        documents = None if Kind.DOCUMENTS in why_none else await _documents(backends, flags, embedder, inline=inline)
        stores = Stores(
            chat,
            documents,
            why_none=why_none,
            forgetting=partial(forget, backends),
            verifier=verifier or _verifier(given),
        )
        closing.push_async_callback(stores.close)
        routers = _routers(chat, documents)
        beside = {f"{kind}: the repair": _repairing(router) for kind, router in routers.items() if repair}
        watches = {kind: backends.foreign_writes(kind) for kind in routers if notice}
        beside |= {
            f"{kind}: noticing what other programs write": _noticing(writes)
            for kind, writes in watches.items()
            if writes is not None
        }
        await closing.enter_async_context(_running(beside))
        yield stores


def _verifier(settings: Settings) -> TokenVerifier | None:
    if settings.token_issuer is None:
        return None
    return TokenVerifier(settings.token_issuer, parties=settings.token_parties, audience=settings.token_audience)


def _unowned(backends: Backends) -> dict[Kind, str]:
    """Return which kinds only Redis could have, if anything said whose they are. An app may need none of them."""
    reasons = {}
    for kind in Kind:
        if not backends.has_new(kind) and backends.has_old(kind):
            try:
                backends.layouts.of(kind)
            except UnownedError as error:
                reasons[kind] = str(error)
    return reasons


def _routers(chat: ChatHistoryStore | None, documents: DocumentStore | None) -> dict[Kind, ChatRouter | DocumentRouter]:
    """Return the stores that stand before two sides."""
    stores = {Kind.CHAT: chat, Kind.DOCUMENTS: documents}
    return {kind: store for kind, store in stores.items() if isinstance(store, ChatRouter | DocumentRouter)}


@asynccontextmanager
async def _running(works: Mapping[str, Coroutine[Any, Any, None]]) -> AsyncGenerator[None, None]:
    """Run works in the background, each with its name for the log, which tells of one that ends by an error."""
    tasks = [asyncio.create_task(work, name=name) for name, work in works.items()]
    for task in tasks:
        task.add_done_callback(_tell_how_it_ended)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _tell_how_it_ended(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("%s ended, until the app starts again: %r", task.get_name(), error, exc_info=error)


async def _repairing(router: ChatRouter | DocumentRouter) -> None:
    """Merge beside the app what the second side missed; what was written to one side on purpose is left as it is."""
    if isinstance(router, ChatRouter):
        await chat_repairer(router.sides, grace=_YOUNG, one_sided=False).watch(_REPAIR_EVERY)
    else:
        await document_repairer(router.sides, grace=_YOUNG, one_sided=False).watch(_REPAIR_EVERY)


async def _noticing(writes: ForeignWrites) -> None:
    try:
        await writes.watch()
    except UnsupportedError as error:
        logger.warning("what other programs write to Redis is not noticed: %s", error)


async def _chat(backends: Backends, flags: OpenFeatureClient, *, inline: bool) -> ChatHistoryStore | None:
    if not backends.has_new(Kind.CHAT):
        return await backends.old_chat() if backends.has_old(Kind.CHAT) else None
    if not backends.has_old(Kind.CHAT):
        return await backends.new_chat()
    sides = await backends.chat_sides()
    return ChatRouter(
        sides, _stages(Kind.CHAT, sides, backends.settings, flags), replicator=chat_replicator(sides, inline=inline)
    )


async def _documents(
    backends: Backends, flags: OpenFeatureClient, embedder: Embedder | None, *, inline: bool
) -> DocumentStore | None:
    if not backends.has_new(Kind.DOCUMENTS):
        return await backends.old_documents() if backends.has_old(Kind.DOCUMENTS) else None
    if not backends.has_old(Kind.DOCUMENTS):
        return await backends.new_documents()
    sides = await backends.document_sides()
    return DocumentRouter(
        sides,
        _stages(Kind.DOCUMENTS, sides, backends.settings, flags),
        embedder=embedder,
        replicator=document_replicator(sides, inline=inline),
    )


def _stages(kind: Kind, sides: Sides[S], settings: Settings, flags: OpenFeatureClient) -> StageResolver:
    journals = [sides[side].journal for side in Side]
    return StageResolver(kind, journals, configured=settings.stage, client=flags)


async def _flags(flag_file: Path | None, closing: AsyncExitStack) -> OpenFeatureClient:
    """Return the client that knows the stages: of the app's own provider, or of one that reads the flag file."""
    if flag_file is None:
        return api.get_client(domain=DOMAIN)
    try:
        from openfeature.contrib.provider.flagd import FlagdProvider  # noqa: PLC0415 - an extra
        from openfeature.contrib.provider.flagd.config import ResolverType  # noqa: PLC0415
    except ImportError as error:
        raise ConfigurationError(
            "CHATSTORE_FLAG_FILE is read by OpenFeature's flagd provider: pip install 'chatstore[flagd]'"
        ) from error
    if not await asyncio.to_thread(flag_file.exists):
        raise ConfigurationError(
            f"CHATSTORE_FLAG_FILE names {flag_file}, which is not there: make it with `chatstore stage chat off`"
        )
    provider = FlagdProvider(resolver_type=ResolverType.FILE, offline_flag_source_path=str(flag_file))
    api.set_provider(provider, DOMAIN)
    closing.callback(provider.shutdown)
    client = api.get_client(domain=DOMAIN)
    # Until the provider is ready it answers with the default, which would count as no answer.
    for _ in range(int(_READY_WITHIN / 0.02)):
        if client.get_provider_status() is ProviderStatus.READY:
            return client
        await asyncio.sleep(0.02)
    raise ConfigurationError(f"the flag file {flag_file} cannot be read: check that it is valid JSON")
