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
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self, TypeVar

from chatstore.errors import ConfigurationError, UnsupportedError
from chatstore.integrations.langgraph.checkpoints import Checkpoints, Steps
from chatstore.integrations.langgraph.threads import Threads
from chatstore.integrations.named_user import chat_of
from chatstore.integrations.reach import Reach
from chatstore.interfaces import UserChat
from chatstore.models.values import check_id

try:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import (
        BaseCheckpointSaver,
        ChannelVersions,
        Checkpoint,
        CheckpointMetadata,
        CheckpointTuple,
    )
    from langgraph.checkpoint.serde.base import SerializerProtocol
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
except ImportError as missing:
    raise ImportError("checkpoints of LangGraph need its package: pip install 'chatstore[langgraph]'") from missing

if TYPE_CHECKING:
    from chatstore.integrations.named_user import AnyChat

__all__ = ["ChatstoreSaver"]

R = TypeVar("R")


class ChatstoreSaver(BaseCheckpointSaver[int]):
    """A checkpointer of LangGraph's over a chat store.

    Each call is for one user, whose threads no other user's calls see. All errors are `ChatStoreError`s. A checkpoint
    is stored in one atomic step, and so are the writes of a task; stored again, each is there once. The last checkpoint
    of a thread is the one that was stored last.

    With the blocking facade, all methods can be used in any thread. With an async store, the async ones
    (`graph.ainvoke`); and the blocking ones from other threads, where this was made in the store's event loop.

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
        if user_key is not None and user_id is not None:
            raise ConfigurationError("there are two who say whose threads they are: leave out `user_key`")
        if user_key is None:
            chat_of(chat, user_id)  # refuses what is no user's
        elif isinstance(chat, UserChat):
            raise ConfigurationError("these threads are those of their token's user: leave out `user_key`")
        self.user_id = user_id
        self._chat, self._user_key = chat, user_key
        self._reach: Reach[AnyChat] = Reach(chat, _as_it_is)

    def for_user(self, user_id: str) -> Self:
        """Return this saver for the threads of one user.

        Raises:
            ConfigurationError: It is one user's already.
            InvalidRecordError: The id is none.
        """
        if self._user_key is None:
            raise ConfigurationError("this saver is one user's already")
        clone = copy.copy(self)
        clone.user_id, clone._user_key = check_id(user_id, "user id"), None  # noqa: SLF001 - the clone is of this class
        return clone

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return await self._wait(config, lambda calls: calls.get(config))

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 - LangGraph's name for it
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncGenerator[CheckpointTuple, None]:
        steps = Steps(lambda calls: calls.list(config, filter, before, limit))
        try:
            while (found := await self._wait(config, steps.next)) is not None:
                yield found
        finally:
            await self._wait(config, steps.close)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        del new_versions  # each checkpoint holds all values
        return await self._wait(config, lambda calls: calls.put(config, checkpoint, metadata))

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        await self._wait(config, lambda calls: calls.put_writes(config, writes, task_id, task_path))

    async def adelete_thread(self, thread_id: str) -> None:
        await self._wait(None, lambda calls: calls.delete_thread(thread_id))

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        await self._wait(None, lambda calls: calls.copy_thread(source_thread_id, target_thread_id))

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        await self._wait(None, lambda calls: calls.delete_for_runs(run_ids))

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """As LangGraph's, which says what the strategies are; not while a run of these threads is under way.

        Raises:
            InvalidRecordError: There is no such strategy.
            UnsupportedError: The newest checkpoint of a thread is made of older ones (LangGraph's `DeltaChannel`), so
                that they must stay.
        """
        await self._wait(None, lambda calls: calls.prune(thread_ids, strategy))

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return self._drive(config, lambda calls: calls.get(config))

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 - LangGraph's name for it
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        steps = Steps(lambda calls: calls.list(config, filter, before, limit))
        try:
            while (found := self._drive(config, steps.next)) is not None:
                yield found
        finally:
            self._drive(config, steps.close)

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        del new_versions
        return self._drive(config, lambda calls: calls.put(config, checkpoint, metadata))

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        self._drive(config, lambda calls: calls.put_writes(config, writes, task_id, task_path))

    def delete_thread(self, thread_id: str) -> None:
        self._drive(None, lambda calls: calls.delete_thread(thread_id))

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        self._drive(None, lambda calls: calls.copy_thread(source_thread_id, target_thread_id))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        self._drive(None, lambda calls: calls.delete_for_runs(run_ids))

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        self._drive(None, lambda calls: calls.prune(thread_ids, strategy))

    async def _wait(self, config: RunnableConfig | None, work: Callable[[Checkpoints], Awaitable[R]]) -> R:
        return await self._reach.wait(self._for(config, work))

    def _drive(self, config: RunnableConfig | None, work: Callable[[Checkpoints], Awaitable[R]]) -> R:
        return self._reach.drive(self._for(config, work))

    def _for(
        self, config: RunnableConfig | None, work: Callable[[Checkpoints], Awaitable[R]]
    ) -> Callable[[AnyChat], Awaitable[R]]:
        user_id = self.user_id if self._user_key is None else self._named(config, self._user_key)

        async def asked(chat: AnyChat) -> R:
            return await work(Checkpoints(Threads(chat_of(chat, user_id)), self.serde, self._user_key))

        return asked

    def _named(self, config: RunnableConfig | None, key: str) -> str:
        if config is None:
            raise UnsupportedError("this call has no config that says whose threads: make it on `saver.for_user(user)`")
        if key not in config["configurable"]:
            raise ConfigurationError(f"the config does not say whose thread it is: give `{key}` in its `configurable`")
        return check_id(config["configurable"][key], "user id")


def _as_it_is(chat: AnyChat) -> AnyChat:
    return chat
