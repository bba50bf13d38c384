"""Forgetting a user on every side that the settings name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from chatstore.backends import Backends
from chatstore.errors import ChatStoreError
from chatstore.interfaces import ChatSide, DocumentSide
from chatstore.models import Forgotten, Kind, Side
from chatstore.models.values import check_id
from chatstore.old_layouts import UnownedError
from chatstore.routing import Traces, forget_chat, forget_documents
from chatstore.settings import require


class Forgetting(Protocol):
    """Forgets a user; `forget`, over certain sides."""

    def __call__(self, user_id: str, *, dry_run: bool = False) -> Awaitable[dict[Kind, Forgotten]]:
        """Delete all that is held of a user, or only count it."""


async def forget(backends: Backends, user_id: str, *, dry_run: bool = False) -> dict[Kind, Forgotten]:
    """Delete all that is held of a user, of each kind of which the settings name a side; return what came of it.

    One kind that cannot be dealt with keeps nobody from dealing with the other.

    Args:
        backends: Where the sides come from.
        user_id: Whose; the id that the app uses now.
        dry_run: Only count.

    Raises:
        InvalidRecordError: There can be no such user id.
        ConfigurationError: The settings name no side, or do not say whose the records of one are.
        UnavailableError: A server did not answer; see `chatstore.routing.forget_chat`.
    """
    check_id(user_id, "user id")
    forgets: dict[Kind, Callable[..., Awaitable[Forgotten]]] = {
        kind: one
        for kind, one in {Kind.CHAT: _chat, Kind.DOCUMENTS: _documents}.items()
        if backends.has_old(kind) or backends.has_new(kind)
    }
    if not forgets:
        require(backends.settings, "redis_url", "supabase_url", "supabase_secret_key")
    done, failures, nobodys = dict[Kind, Forgotten](), list[ChatStoreError](), list[ChatStoreError]()
    for kind, one in forgets.items():
        try:
            done[kind] = await one(backends, user_id, _traces(backends, kind, user_id), dry_run=dry_run)
        except UnownedError as error:
            # An app may have no use for what only Redis could hold, and of which nothing says whose it is.
            (failures if backends.has_new(kind) else nobodys).append(error)
        except ChatStoreError as error:
            failures.append(error)
    if failures := failures or ([] if done else nobodys):
        raise type(failures[0])("\n".join(map(str, failures))) from failures[0]
    return done


async def _chat(backends: Backends, user_id: str, traces: Traces | None, *, dry_run: bool) -> Forgotten:
    stores: dict[Side, ChatSide] = {}
    if backends.has_old(Kind.CHAT):
        stores[Side.OLD] = await backends.old_chat()
    if backends.has_new(Kind.CHAT):
        # Not with the user's own token, which nobody may have any more.
        stores[Side.NEW] = (await backends.new_chat()).for_service()
    return await forget_chat(user_id, stores, traces=traces, dry_run=dry_run)


async def _documents(backends: Backends, user_id: str, traces: Traces | None, *, dry_run: bool) -> Forgotten:
    stores: dict[Side, DocumentSide] = {}
    if backends.has_old(Kind.DOCUMENTS):
        stores[Side.OLD] = await backends.old_documents()
    if backends.has_new(Kind.DOCUMENTS):
        stores[Side.NEW] = await backends.new_documents()
    return await forget_documents(user_id, stores, traces=traces, dry_run=dry_run)


def _traces(backends: Backends, kind: Kind, user_id: str) -> Traces | None:
    """Return the user's entries of the quarantine, which lies in Redis, where the raw records have the id of there."""
    if not backends.has_old(kind):
        return None
    old = backends.layouts.users().old_of(user_id)
    return Traces(backends.progress(kind), {user_id} if old is None else {user_id, old})


def complete(done: Mapping[Kind, Forgotten]) -> bool:
    """Return whether nothing is left of what was to be forgotten."""
    return all(one.complete for one in done.values())
