"""LangGraph's checkpoints, kept by chatstore beside the chat history.

    graph = builder.compile(checkpointer=ChatstoreSaver(stores.chat, user_id="user-1"))
    await graph.ainvoke({"messages": [("user", "Where is my order?")]}, {"configurable": {"thread_id": "thread-1"}})

A thread is a session of the user's (one more for each subgraph's namespace), a checkpoint is a message of it with the
graph's whole state, and so is each write that waits for the next checkpoint. So they move with the chat history, at
every stage, and are forgotten with it. `BaseCheckpointSaver` is the interface:
https://reference.langchain.com/python/langgraph/checkpoints/
"""

from __future__ import annotations

import copy
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Self

from chatstore.errors import ConfigurationError, InvalidRecordError, UnsupportedError
from chatstore.integrations.langgraph_blocking import DirectChat, driven, driven_each
from chatstore.integrations.langgraph_records import Saved, Write, checkpoint_message, load, write_messages
from chatstore.integrations.langgraph_threads import Place, Threads
from chatstore.integrations.named_user import chat_of
from chatstore.interfaces import ChatHistoryStore, UserChat
from chatstore.models.values import check_id, check_text

try:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import (
        BaseCheckpointSaver,
        ChannelVersions,
        Checkpoint,
        CheckpointMetadata,
        CheckpointTuple,
        get_checkpoint_id,
        get_checkpoint_metadata,
    )
    from langgraph.checkpoint.serde.base import SerializerProtocol
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
except ImportError as missing:
    raise ImportError("checkpoints of LangGraph need its package: pip install 'chatstore[langgraph]'") from missing

if TYPE_CHECKING:
    from chatstore.integrations.named_user import AnyChat

__all__ = ["ChatstoreSaver"]


class ChatstoreSaver(BaseCheckpointSaver[int]):
    """A checkpointer of LangGraph's over a chat store.

    Each call is for one user, whose threads no other user's calls see. All errors are `ChatStoreError`s. A checkpoint
    is stored in one atomic step, and so are the writes of a task; stored again, each is there once. The last checkpoint
    of a thread is the one that was stored last.

    With an async store the `a…` methods are there (`graph.ainvoke`), with one of `chatstore.open_blocking` the others
    (`graph.invoke`), and the `a…` methods as well, which wait in a thread.

    Args:
        chat: The chat store; or one user's, as `stores.for_user(token)` gives it. Both may be the blocking ones.
        user_id: Whose threads they are. Left out where `chat` is one user's, or with `user_key`.
        user_key: Under which key of a config's `configurable` each call says whose thread it is about, for one graph
            that serves many users. Your server sets it, never the user. Calls that have no config (`delete_thread`, …)
            are made on `for_user(user_id)`.
        allowed: Types of the graph's state, beside LangChain's messages and plain values, that are rebuilt when a
            checkpoint is read: classes or (module, name). An object of another type is stored, and refused when it is
            read.
        serde: A serializer instead of that: LangGraph's, without `pickle_fallback`, or an `EncryptedSerializer` over
            it.

    Attributes:
        user_id: Whose threads they are; None where a token or each call says it.

    Raises:
        ConfigurationError: There is no user, or there are two; or the serializer would unpickle.
    """

    def __init__(
        self,
        chat: AnyChat,
        *,
        user_id: str | None = None,
        user_key: str | None = None,
        allowed: Sequence[type | tuple[str, str]] = (),
        serde: SerializerProtocol | None = None,
    ) -> None:
        if serde is not None and allowed:
            raise ConfigurationError("give `allowed`, or a `serde` that was told what it may rebuild")
        # What is given to `allowed_msgpack_modules` is allowed beside the safe types; None means these alone.
        super().__init__(serde=serde or JsonPlusSerializer(allowed_msgpack_modules=[*allowed] or None))
        inner = getattr(self.serde, "serde", self.serde)
        if getattr(inner, "pickle_fallback", False):
            raise ConfigurationError("the serializer would unpickle what it reads: make it with pickle_fallback=False")
        if user_key is not None and (user_id is not None or isinstance(chat, UserChat)):
            raise ConfigurationError("there are two who say whose threads they are: leave out `user_key`")
        self._chat, self._user_key = chat, user_key
        self.user_id: str | None = None
        self._user: Threads
        self._direct: Threads | None = None
        if user_key is None:
            self._serve(user_id)

    def for_user(self, user_id: str) -> Self:
        """Return this saver for the threads of one user.

        Raises:
            ConfigurationError: It is one user's already.
            InvalidRecordError: The id is none.
        """
        if self._user_key is None:
            raise ConfigurationError("this saver is one user's already")
        clone = copy.copy(self)
        clone._user_key = None  # noqa: SLF001 - the clone is of this class
        clone._serve(user_id)  # noqa: SLF001
        return clone

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return await self._get(self._threads(config), config)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 - LangGraph's name for it
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncGenerator[CheckpointTuple, None]:
        async with aclosing(self._list(self._threads(config), config, filter, before, limit)) as found:
            async for saved in found:
                yield saved

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        del new_versions  # each checkpoint holds all values
        return await self._put(self._threads(config), config, checkpoint, metadata)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        await self._put_writes(self._threads(config), config, writes, task_id, task_path)

    async def adelete_thread(self, thread_id: str) -> None:
        await self._threads(None).delete(_thread(thread_id))

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        await self._threads(None).copy(_thread(source_thread_id), _thread(target_thread_id))

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        await self._delete_for_runs(self._threads(None), run_ids)

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """As LangGraph's, which says what the strategies are; not while a run of these threads is under way.

        Raises:
            InvalidRecordError: There is no such strategy.
            UnsupportedError: The newest checkpoint of a thread is made of older ones (LangGraph's `DeltaChannel`), so
                that they must stay.
        """
        await self._prune(self._threads(None), thread_ids, strategy)

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return driven(self._get(self._blocking(config), config))

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 - LangGraph's name for it
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        return driven_each(self._list(self._blocking(config), config, filter, before, limit))

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        del new_versions
        return driven(self._put(self._blocking(config), config, checkpoint, metadata))

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        driven(self._put_writes(self._blocking(config), config, writes, task_id, task_path))

    def delete_thread(self, thread_id: str) -> None:
        driven(self._blocking(None).delete(_thread(thread_id)))

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        driven(self._blocking(None).copy(_thread(source_thread_id), _thread(target_thread_id)))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        driven(self._delete_for_runs(self._blocking(None), run_ids))

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        driven(self._prune(self._blocking(None), thread_ids, strategy))

    async def _get(self, threads: Threads, config: RunnableConfig) -> CheckpointTuple | None:
        place, wanted = _place(config), get_checkpoint_id(config)
        async with aclosing(threads.saved(place)) as found:
            async for saved, writes in found:
                if wanted is None or saved.id == wanted:
                    return self._tuple(config, place, saved, writes)
        return None

    async def _list(
        self,
        threads: Threads,
        config: RunnableConfig | None,
        wanted: dict[str, Any] | None,
        before: RunnableConfig | None,
        limit: int | None,
    ) -> AsyncGenerator[CheckpointTuple, None]:
        left = limit if limit is not None else float("inf")
        only = get_checkpoint_id(config) if config else None
        bound = get_checkpoint_id(before) if before else None
        async with aclosing(_places(threads, config)) as places:
            async for place in places:
                if left <= 0:
                    return
                async with aclosing(threads.saved(place)) as found:
                    async for saved, writes in found:
                        if (only and saved.id != only) or (bound and saved.id >= bound):
                            continue
                        # What is asked of the metadata is compared here: no key of it reaches a server.
                        metadata = load(self.serde, saved.metadata)
                        if any(key not in metadata or metadata[key] != value for key, value in (wanted or {}).items()):
                            continue
                        yield self._tuple(config, place, saved, writes)
                        if (left := left - 1) <= 0:
                            return

    async def _put(
        self, threads: Threads, config: RunnableConfig, checkpoint: Checkpoint, metadata: CheckpointMetadata
    ) -> RunnableConfig:
        place = _place(config)
        held = get_checkpoint_metadata(config, metadata)
        await threads.put(place, checkpoint_message(self.serde, checkpoint, held, _checkpoint_id(config)))
        return self._config(config, place, checkpoint["id"])

    async def _put_writes(
        self, threads: Threads, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str
    ) -> None:
        checkpoint_id = _checkpoint_id(config)
        if checkpoint_id is None:
            raise InvalidRecordError("the config names no checkpoint that these writes belong to: give `checkpoint_id`")
        if writes:
            messages = write_messages(self.serde, checkpoint_id, writes, task_id, task_path)
            await threads.put_new(_place(config), messages)

    async def _delete_for_runs(self, threads: Threads, run_ids: Sequence[str]) -> None:
        runs = set(run_ids)
        async with aclosing(threads.all_places()) as places:
            async for place in places if runs else _none():
                async with aclosing(threads.saved(place)) as found:
                    ids = {
                        saved.id async for saved, _ in found if load(self.serde, saved.metadata).get("run_id") in runs
                    }
                if ids:
                    await threads.drop(place, ids)

    async def _prune(self, threads: Threads, thread_ids: Sequence[str], strategy: str) -> None:
        if strategy not in ("keep_latest", "delete"):
            raise InvalidRecordError(f"there is no strategy {strategy!r}: prune by `keep_latest` or `delete`")
        for thread in map(_thread, thread_ids):
            if strategy == "delete":
                await threads.delete(thread)
                continue
            for place in await threads.places(thread):
                ids: list[str] = []
                async with aclosing(threads.saved(place)) as found:
                    async for saved, _ in found:
                        if not ids and load(self.serde, saved.metadata).get("counters_since_delta_snapshot"):
                            raise UnsupportedError(
                                f"the thread {thread!r} has channels that are kept as differences (DeltaChannel), for "
                                "which older checkpoints are needed: it cannot be pruned"
                            )
                        ids.append(saved.id)
                if older := set(ids[1:]):
                    await threads.drop(place, older)

    def _tuple(
        self, config: RunnableConfig | None, place: Place, saved: Saved, writes: Sequence[Write]
    ) -> CheckpointTuple:
        return CheckpointTuple(
            config=self._config(config, place, saved.id),
            checkpoint=load(self.serde, saved.checkpoint),
            metadata=load(self.serde, saved.metadata),
            parent_config=None if saved.parent is None else self._config(config, place, saved.parent),
            pending_writes=[(write.task, write.channel, load(self.serde, write.value)) for write in writes],
        )

    def _config(self, config: RunnableConfig | None, place: Place, checkpoint_id: str) -> RunnableConfig:
        named = {"thread_id": place.thread, "checkpoint_ns": place.namespace, "checkpoint_id": checkpoint_id}
        if self._user_key is not None and config is not None:
            named[self._user_key] = config["configurable"][self._user_key]
        return {"configurable": named}

    def _serve(self, user_id: str | None) -> None:
        self.user_id = user_id
        self._user = Threads(chat_of(self._chat, user_id))
        if not isinstance(self._chat, ChatHistoryStore | UserChat):
            self._direct = Threads(DirectChat(self._chat, *([] if user_id is None else [user_id])))

    def _threads(self, config: RunnableConfig | None) -> Threads:
        return self._of(config)._user  # noqa: SLF001

    def _blocking(self, config: RunnableConfig | None) -> Threads:
        if (direct := self._of(config)._direct) is None:  # noqa: SLF001
            raise UnsupportedError(
                "this saver has an async store, which serves `ainvoke`, `aget_state` and so on; for `invoke` give it "
                "the `chat` of `chatstore.open_blocking()`"
            )
        return direct

    def _of(self, config: RunnableConfig | None) -> Self:
        if self._user_key is None:
            return self
        if config is None:
            raise UnsupportedError("this call has no config that says whose threads: make it on `saver.for_user(user)`")
        if self._user_key not in config["configurable"]:
            raise ConfigurationError(f"the config does not say whose thread it is: give `{self._user_key}` in it")
        return self.for_user(config["configurable"][self._user_key])


def _place(config: RunnableConfig) -> Place:
    named = config["configurable"]
    if "thread_id" not in named:
        raise InvalidRecordError("the config names no thread: give `thread_id` in its `configurable`")
    return Place(_thread(named["thread_id"]), check_text(named.get("checkpoint_ns", ""), "checkpoint's namespace"))


def _thread(thread_id: object) -> str:
    return check_id(str(thread_id), "thread's id")


def _checkpoint_id(config: RunnableConfig) -> str | None:
    named = get_checkpoint_id(config)
    return None if named is None else check_id(named, "checkpoint's id")


async def _places(threads: Threads, config: RunnableConfig | None) -> AsyncGenerator[Place, None]:
    if config is None:
        async for place in threads.all_places():
            yield place
    elif config["configurable"].get("checkpoint_ns") is not None:
        yield _place(config)
    else:
        for place in await threads.places(_place(config).thread):
            yield place


async def _none() -> AsyncGenerator[Place, None]:
    none: tuple[Place, ...] = ()
    for place in none:
        yield place
