"""Move a live LLM app's chat history from Redis to Supabase, and its documents to Chroma, losing nothing.

    async with chatstore.open() as stores:
        await stores.chat.append(user_id, session_id, NewMessage("user", "Hello"))
        matches = await stores.documents.search(user_id, "tea")

For callers without an event loop: `chatstore.open_blocking()`, with the same methods.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from chatstore.errors import (
    ChatStoreError,
    ConfigurationError,
    ConflictError,
    InvalidRecordError,
    LayoutError,
    NotFoundError,
    SchemaError,
    StaleSideError,
    TokenRefusedError,
    UnavailableError,
    UnsupportedError,
)
from chatstore.interfaces import ChatHistoryStore, DocumentStore, Embedder
from chatstore.models import Document, Embedding, Match, Message, NewDocument, NewMessage, Page, Session, Stage
from chatstore.ownership import Owners, Users, load_owners, load_users

if TYPE_CHECKING:
    from chromadb.api import ClientAPI
    from openfeature.client import OpenFeatureClient
    from redis.asyncio import Redis, RedisCluster
    from supabase import AsyncClient

    from chatstore.identity import TokenVerifier
    from chatstore.old_layouts import OwnersGiven, UsersGiven
    from chatstore.routing import OnComparison, SearchTolerance, Tracking
    from chatstore.settings import Settings
    from chatstore.stores import Stores
    from chatstore.supabase import TokenOf
    from chatstore.sync import BlockingStores

__all__ = [
    "ChatHistoryStore",
    "ChatStoreError",
    "ConfigurationError",
    "ConflictError",
    "Document",
    "DocumentStore",
    "Embedder",
    "Embedding",
    "InvalidRecordError",
    "LayoutError",
    "Match",
    "Message",
    "NewDocument",
    "NewMessage",
    "NotFoundError",
    "Owners",
    "Page",
    "SchemaError",
    "Session",
    "Stage",
    "StaleSideError",
    "TokenRefusedError",
    "UnavailableError",
    "UnsupportedError",
    "Users",
    "load_owners",
    "load_users",
    "open",
    "open_blocking",
]

# What follows imports on call: a client library takes up to a second, and importing chatstore must not.


def open(  # noqa: A001 - as in `gzip.open`
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
    flags: OpenFeatureClient | str = "chatstore",
    tracking: Tracking | bool = False,
    on_comparison: OnComparison | None = None,
    search_tolerance: SearchTolerance | None = None,
) -> AbstractAsyncContextManager[Stores]:
    """Open an app's chat store and document store: `async with chatstore.open() as stores: ...`.

    The arguments are those of `chatstore.app.open_stores`.
    """
    from chatstore.app import open_stores  # noqa: PLC0415

    return open_stores(
        settings,
        embedder=embedder,
        redis=redis,
        supabase=supabase,
        chroma=chroma,
        token_of=token_of,
        verifier=verifier,
        owners=owners,
        document_owners=document_owners,
        users=users,
        inline=inline,
        repair=repair,
        notice=notice,
        flags=flags,
        tracking=tracking,
        on_comparison=on_comparison,
        search_tolerance=search_tolerance,
    )


def open_blocking(
    settings: Settings | None = None,
    *,
    embedder: Embedder | None = None,
    token_of: TokenOf | None = None,
    verifier: TokenVerifier | None = None,
    owners: OwnersGiven | None = None,
    document_owners: OwnersGiven | None = None,
    users: UsersGiven | None = None,
    inline: bool = False,
    flags: OpenFeatureClient | str = "chatstore",
    tracking: Tracking | bool = False,
    on_comparison: OnComparison | None = None,
    search_tolerance: SearchTolerance | None = None,
) -> BlockingStores:
    """Return an app's stores for callers without an event loop: `with chatstore.open_blocking() as stores: ...`.

    They are opened at the first call, and anew in a process that was forked.

    Args:
        settings: As of `open`.
        embedder: As of `open`; a coroutine function here, too.
        token_of: As of `open`; a coroutine function here, too.
        verifier: As of `open`.
        owners: As of `open`. So are the next seven.
        document_owners: See there.
        users: See there.
        inline: See there.
        flags: See there.
        tracking: See there.
        on_comparison: See there.
        search_tolerance: See there.

    Raises:
        ConfigurationError: A setting is malformed.
    """
    from chatstore.settings import load_settings  # noqa: PLC0415
    from chatstore.sync import BlockingStores  # noqa: PLC0415

    given = settings or load_settings()
    return BlockingStores(
        lambda: open(
            given,
            embedder=embedder,
            token_of=token_of,
            verifier=verifier,
            owners=owners,
            document_owners=document_owners,
            users=users,
            inline=inline,
            flags=flags,
            tracking=tracking,
            on_comparison=on_comparison,
            search_tolerance=search_tolerance,
        )
    )


def __getattr__(name: str) -> str:
    """Return `__version__`, which is looked up only when it is asked for."""
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415

        return version("chatstore")
    raise AttributeError(f"module 'chatstore' has no attribute {name!r}")
