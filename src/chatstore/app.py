"""How an app opens its stores: routed by the stage of each call, with a repair beside them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from chatstore.backends import Backends
from chatstore.errors import UnsupportedError
from chatstore.forgetting import forget
from chatstore.identity import TokenVerifier
from chatstore.interfaces import ChatHistoryStore, DocumentStore, Embedder
from chatstore.models import Kind
from chatstore.old_layouts import OwnersGiven, UnownedError, UsersGiven
from chatstore.routing import (
    ChatRouter,
    DocumentRouter,
    OnComparison,
    SearchTolerance,
    Tracking,
    chat_repairer,
    chat_replicator,
    document_repairer,
    document_replicator,
)
from chatstore.routing.comparison import told_aside
from chatstore.routing.flags.client import DOMAIN
from chatstore.routing.flags.opening import Flags, open_flags
from chatstore.settings import Settings, load_settings
from chatstore.stores import Stores, routers

if TYPE_CHECKING:
    from chromadb.api import ClientAPI
    from openfeature.client import OpenFeatureClient
    from redis.asyncio import Redis, RedisCluster
    from supabase import AsyncClient

    from chatstore.redis import ForeignWrites
    from chatstore.supabase import TokenOf

logger = logging.getLogger("chatstore")

_REPAIR_EVERY = 5.0
_YOUNG = timedelta(seconds=10)
"""Marks younger than this are most likely of writes that are still under way."""


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
    flags: OpenFeatureClient | str = DOMAIN,
    tracking: Tracking | bool = False,
    on_comparison: OnComparison | None = None,
    search_tolerance: SearchTolerance | None = None,
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
        flags: The domain of OpenFeature whose provider knows the stages, or an OpenFeature client of the app's own,
            whose hooks and evaluation context count, too. With CHATSTORE_FLAG_FILE that file's provider is bound to it.
        tracking: Tell the flag provider what became of calls, by OpenFeature's tracking: of a hundredth of them, or of
            what a `chatstore.routing.Tracking` says. Where the provider does not track, nothing comes of it.
        on_comparison: A function that is called with a `chatstore.routing.Comparison` for each read that was compared
            with the other side, at the stages that do that: in a thread of its own, one after the other, so that no
            call waits for it. An error in it is logged. A thousand may wait for it; what is more is dropped.
        search_tolerance: How far both sides' answers to one search may differ before that is a mismatch: a
            `chatstore.routing.SearchTolerance`. When left out, a tenth of the matches may be others.

    Raises:
        ConfigurationError: A setting is missing or malformed, or `on_comparison` is no plain function.
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
        asked = await closing.enter_async_context(open_flags(flags, given.flag_file, tracking=tracking))
        told = await closing.enter_async_context(told_aside(on_comparison))
        why_none = _unowned(backends)
        chat = None if Kind.CHAT in why_none else await _chat(backends, asked, told, inline=inline)
        documents = (
            None
            if Kind.DOCUMENTS in why_none
            else await _documents(backends, asked, told, search_tolerance, embedder, inline=inline)
        )
        stores = Stores(
            chat,
            documents,
            why_none=why_none,
            forgetting=partial(forget, backends),
            verifier=verifier or _verifier(given),
        )
        closing.push_async_callback(stores.close)
        routed = routers(chat, documents)
        beside = {f"{kind}: the repair": _repairing(router) for kind, router in routed.items() if repair}
        watches = {kind: backends.foreign_writes(kind) for kind in routed if notice}
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


async def _chat(
    backends: Backends, flags: Flags, told: OnComparison | None, *, inline: bool
) -> ChatHistoryStore | None:
    if not backends.has_new(Kind.CHAT):
        return await backends.old_chat() if backends.has_old(Kind.CHAT) else None
    if not backends.has_old(Kind.CHAT):
        return await backends.new_chat()
    sides = await backends.chat_sides()
    return ChatRouter(
        sides,
        flags.resolver(Kind.CHAT, sides, configured=backends.settings.stage),
        replicator=chat_replicator(sides, inline=inline, on_put=flags.on_put(Kind.CHAT)),
        shadow=flags.shadow(Kind.CHAT, told),
    )


async def _documents(
    backends: Backends,
    flags: Flags,
    told: OnComparison | None,
    tolerance: SearchTolerance | None,
    embedder: Embedder | None,
    *,
    inline: bool,
) -> DocumentStore | None:
    if not backends.has_new(Kind.DOCUMENTS):
        return await backends.old_documents() if backends.has_old(Kind.DOCUMENTS) else None
    if not backends.has_old(Kind.DOCUMENTS):
        return await backends.new_documents()
    sides = await backends.document_sides()
    return DocumentRouter(
        sides,
        flags.resolver(Kind.DOCUMENTS, sides, configured=backends.settings.stage),
        embedder=embedder,
        replicator=document_replicator(sides, inline=inline, on_put=flags.on_put(Kind.DOCUMENTS)),
        shadow=flags.shadow(Kind.DOCUMENTS, told, tolerance),
    )
