"""Chat histories that were there before a graph was: each becomes a thread of LangGraph's, with its messages.

    seeded = await seed_threads(stores.chat, graph, ["user-1", "user-2"])

The thread's id is the session's, so that the app goes on with `{"configurable": {"thread_id": session_id}}`.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Protocol, TypeAlias
from uuid import UUID

from chatstore.errors import ConfigurationError, InvalidRecordError, NotFoundError, UnsupportedError
from chatstore.integrations.langchain.messages import message_of
from chatstore.integrations.langgraph.saver import ChatstoreSaver
from chatstore.integrations.langgraph.threads import is_thread
from chatstore.interfaces import ChatHistoryStore
from chatstore.models import Message, Session, to_micros, utc_now

try:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import BaseCheckpointSaver, Checkpoint, CheckpointMetadata
except ImportError as missing:
    raise ImportError("threads of LangGraph need its package: pip install 'chatstore[langgraph]'") from missing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from langchain_core.messages import BaseMessage

__all__ = ["Seeded", "seed_threads"]

_SEED = "chatstore_seed"
"""A checkpoint's metadata have this where nothing but a seed was put into the thread: what it was made of."""
_FORMAT = 4
"""The version of LangGraph's form of a checkpoint."""
_UUID_EPOCH_TICKS = 0x01B21DD213814000  # from 1582-10-15 to 1970-01-01, by 100 ns


@dataclass(frozen=True, slots=True)
class Seeded:
    """What `seed_threads` did.

    Attributes:
        threads: How many threads it seeded.
        present: How many were there, seeded before or used.
        empty: How many sessions have no messages, and so need no thread.
        refused: The sessions that LangChain's messages cannot hold, each with the reason; they have no thread.
    """

    threads: int
    present: int
    empty: int
    refused: tuple[tuple[str, str], ...]


class Graph(Protocol):
    """A graph that was compiled with a checkpointer."""

    @property
    def checkpointer(self) -> Any:
        """Its checkpointer."""

    @property
    def channels(self) -> Mapping[str, Any]:
        """Its channels, by their names."""


Into: TypeAlias = "BaseCheckpointSaver[Any] | Graph"


def config_of(session: Session) -> RunnableConfig:
    """Return the config of a session's thread, with the user's id beside it (for a saver with `user_key="user_id"`)."""
    return {"configurable": {"thread_id": session.id, "checkpoint_ns": "", "user_id": session.user_id}}


async def seed_threads(
    chat: ChatHistoryStore,
    into: Into,
    user_ids: Iterable[str],
    *,
    channel: str = "messages",
    config: Callable[[Session], RunnableConfig] = config_of,
) -> Seeded:
    """Turn the sessions of some users into threads: one checkpoint each, whose state has the session's messages.

    The sessions stay as they are. A thread that a graph has written to is left alone; one that was seeded is seeded
    again where its session has changed since. So this may be stopped, and called again at any time, but for a session
    and its thread that are being written just now. One session is held in memory at a time.

    Every message is there, in its order: with LangChain's own id where it has one that no other has, else with its id
    in the session.

    Args:
        chat: Where the sessions are: any store, or the router.
        into: A graph that was compiled with a checkpointer, or a checkpointer (any, with the async methods).
        user_ids: Whose sessions.
        channel: Which part of the graph's state takes messages.
        config: Returns the config of a session's thread.

    Raises:
        ConfigurationError: The graph has no checkpointer, one without async methods, or no such channel; or the saver
            is one user's and a session is another's.
        UnavailableError: A server did not answer; call it again.
    """
    if not isinstance(chat, ChatHistoryStore):
        raise ConfigurationError("give an async store, that of `chatstore.open()`, which has the sessions of all users")
    saver = _saver_of(into, channel)
    threads = present = empty = 0
    refused = []
    for user_id in user_ids:
        if isinstance(saver, ChatstoreSaver) and saver.user_id not in (None, user_id):
            raise ConfigurationError(
                f"the saver keeps the threads of {saver.user_id!r}, and may not get those of {user_id!r}: make it with "
                '`user_key="user_id"`'
            )
        async for session in _sessions(chat, user_id):
            try:
                messages = await chat.messages(user_id, session.id)
            except NotFoundError:
                continue  # deleted meanwhile
            if not messages:
                empty += 1
                continue
            try:
                put = await _seed(saver, config(session), session, messages, channel)
            except (UnsupportedError, InvalidRecordError) as error:
                refused.append((session.id, str(error)))
            except NotImplementedError as error:
                raise ConfigurationError(
                    f"{type(saver).__name__} has no async methods: give the async checkpointer of its kind"
                ) from error
            else:
                threads, present = threads + put, present + (not put)
    return Seeded(threads, present, empty, tuple(refused))


async def _seed(
    saver: BaseCheckpointSaver[Any], config: RunnableConfig, session: Session, messages: list[Message], channel: str
) -> bool:
    made_of = _digest([channel, *(f"{message.id} {message.version}" for message in messages)])
    before = await saver.aget_tuple(config)
    if before is not None and before.metadata.get(_SEED) in (None, made_of):
        return False
    now = utc_now()
    at = min(session.updated_at, now)
    if before is not None and _checkpoint_id(at, made_of) <= before.checkpoint["id"]:
        at = now  # where a layout has no times, the session is no younger than it was
    version = saver.get_next_version(None, None)
    checkpoint: Checkpoint = {
        "v": _FORMAT,
        "id": _checkpoint_id(at, made_of),
        "ts": at.isoformat(),
        "channel_values": {channel: _with_ids(messages)},
        "channel_versions": {channel: version},
        "versions_seen": {},
        "updated_channels": [channel],
    }
    metadata: CheckpointMetadata = {"source": "update", "step": 0, "parents": {}}
    metadata[_SEED] = made_of  # type: ignore[literal-required] # metadata may have an app's own
    await saver.aput(config if before is None else before.config, checkpoint, metadata, {channel: version})
    return True


def _with_ids(messages: list[Message]) -> list[BaseMessage]:
    made = [message_of(_with_calls(message)) for message in messages]
    used: set[str] = set()
    for one, message in zip(made, messages, strict=True):
        # A graph tells messages apart by their ids: the second of two with one id would take the first one's place.
        if not one.id or one.id in used:
            one.id = message.id
        used.add(one.id)
    return made


def _with_calls(message: Message) -> Message:
    """Return a message with calls of tools, as OpenAI spells them, where LangChain looks for these."""
    calls = message.extra.get("tool_calls")
    if not isinstance(calls, list) or not calls or not all(isinstance(c, dict) and "function" in c for c in calls):
        return message
    extra = {name: value for name, value in message.extra.items() if name != "tool_calls"}
    others = extra.get("additional_kwargs")
    extra["additional_kwargs"] = {**(others if isinstance(others, dict) else {}), "tool_calls": calls}
    return replace(message, extra=extra)


async def _sessions(chat: ChatHistoryStore, user_id: str) -> AsyncIterator[Session]:
    after = None
    while True:
        page = await chat.list_sessions(user_id, after=after)
        for session in page.items:
            if not is_thread(session):
                yield session
        if (after := page.next) is None:
            return


def _saver_of(into: Into, channel: str) -> BaseCheckpointSaver[Any]:
    if isinstance(into, BaseCheckpointSaver):
        return into
    saver = getattr(into, "checkpointer", None)
    if not isinstance(saver, BaseCheckpointSaver):
        raise ConfigurationError("there is nothing to seed: give a checkpointer, or a graph compiled with one")
    if channel not in into.channels:
        raise ConfigurationError(
            f"the graph's state has no {channel!r}: give as `channel` which of its parts takes messages"
        )
    return saver


def _checkpoint_id(at: datetime, made_of: str) -> str:
    # A UUID of version 6, as LangGraph's are: by its time it stands before whatever is put into the thread from now on,
    # and what is made of the same messages at the same time is the same checkpoint.
    ticks = max(0, to_micros(at) * 10 + _UUID_EPOCH_TICKS)
    node = int(made_of, 16) & ((1 << 62) - 1)
    return str(UUID(int=(ticks >> 12) << 80 | 0x6 << 76 | (ticks & 0xFFF) << 64 | 0b10 << 62 | node))


def _digest(parts: list[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
