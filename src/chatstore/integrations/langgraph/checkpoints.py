"""What a checkpointer of LangGraph's does with one user's threads: each call is a coroutine, whoever waits for it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any, Generic, TypeVar

from chatstore.errors import InvalidRecordError, UnsupportedError
from chatstore.integrations.langgraph.records import Saved, Write, checkpoint_message, load, write_messages
from chatstore.integrations.langgraph.threads import Place, Threads
from chatstore.models.values import check_id, check_text

try:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import (
        Checkpoint,
        CheckpointMetadata,
        CheckpointTuple,
        get_checkpoint_id,
        get_checkpoint_metadata,
    )
    from langgraph.checkpoint.serde.base import SerializerProtocol
except ImportError as missing:
    raise ImportError("checkpoints of LangGraph need its package: pip install 'chatstore[langgraph]'") from missing

R = TypeVar("R")


class Checkpoints:
    """One user's checkpoints; the methods are those of `BaseCheckpointSaver`.

    Args:
        threads: The user's threads.
        serde: What makes bytes of a state.
        user_key: What of a config's `configurable` goes into the configs that are returned, beside what names the
            checkpoint.
    """

    def __init__(self, threads: Threads, serde: SerializerProtocol, user_key: str | None) -> None:
        self._threads, self._serde, self._user_key = threads, serde, user_key

    async def get(self, config: RunnableConfig) -> CheckpointTuple | None:
        place, wanted = _place(config), get_checkpoint_id(config)
        async with aclosing(self._threads.saved(place)) as found:
            async for saved, writes in found:
                if not wanted or saved.id == wanted:
                    return self._tuple(config, place, saved, writes)
        return None

    async def list(
        self,
        config: RunnableConfig | None,
        wanted: dict[str, Any] | None,
        before: RunnableConfig | None,
        limit: int | None,
    ) -> AsyncGenerator[CheckpointTuple, None]:
        left = limit if limit is not None else float("inf")
        only = get_checkpoint_id(config) if config else None
        bound = get_checkpoint_id(before) if before else None
        async with aclosing(_places(self._threads, config)) as places:
            async for place in places:
                if left <= 0:
                    return
                async with aclosing(self._threads.saved(place)) as found:
                    async for saved, writes in found:
                        if (only and saved.id != only) or (bound and saved.id >= bound):
                            continue
                        # What is asked of the metadata is compared here: no key of it reaches a server.
                        metadata = load(self._serde, saved.metadata)
                        if any(key not in metadata or metadata[key] != value for key, value in (wanted or {}).items()):
                            continue
                        yield self._tuple(config, place, saved, writes)
                        if (left := left - 1) <= 0:
                            return

    async def put(self, config: RunnableConfig, checkpoint: Checkpoint, metadata: CheckpointMetadata) -> RunnableConfig:
        place = _place(config)
        held = get_checkpoint_metadata(config, metadata)
        await self._threads.put(place, checkpoint_message(self._serde, checkpoint, held, _checkpoint_id(config)))
        return self._config(config, place, checkpoint["id"])

    async def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str
    ) -> None:
        checkpoint_id = _checkpoint_id(config)
        if checkpoint_id is None:
            raise InvalidRecordError("the config names no checkpoint that these writes belong to: give `checkpoint_id`")
        if writes:
            messages = write_messages(self._serde, checkpoint_id, writes, task_id, task_path)
            await self._threads.put_new(_place(config), messages)

    async def delete_thread(self, thread_id: str) -> None:
        await self._threads.delete(_thread(thread_id))

    async def copy_thread(self, thread_id: str, target_thread_id: str) -> None:
        await self._threads.copy(_thread(thread_id), _thread(target_thread_id))

    async def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        if not (runs := set(run_ids)):
            return
        async with aclosing(self._threads.all_places()) as places:
            async for place in places:
                async with aclosing(self._threads.saved(place)) as found:
                    ids = {
                        saved.id async for saved, _ in found if load(self._serde, saved.metadata).get("run_id") in runs
                    }
                if ids:
                    await self._threads.drop(place, ids)

    async def prune(self, thread_ids: Sequence[str], strategy: str) -> None:
        if strategy not in ("keep_latest", "delete"):
            raise InvalidRecordError(f"there is no strategy {strategy!r}: prune by `keep_latest` or `delete`")
        for thread in map(_thread, thread_ids):
            if strategy == "delete":
                await self._threads.delete(thread)
                continue
            for place in await self._threads.places(thread):
                ids: list[str] = []
                async with aclosing(self._threads.saved(place)) as found:
                    async for saved, _ in found:
                        if not ids and load(self._serde, saved.metadata).get("counters_since_delta_snapshot"):
                            raise UnsupportedError(
                                f"the thread {thread!r} has channels that are kept as differences (DeltaChannel), for "
                                "which older checkpoints are needed: it cannot be pruned"
                            )
                        ids.append(saved.id)
                if older := set(ids[1:]):
                    await self._threads.drop(place, older)

    def _tuple(
        self, config: RunnableConfig | None, place: Place, saved: Saved, writes: Sequence[Write]
    ) -> CheckpointTuple:
        return CheckpointTuple(
            config=self._config(config, place, saved.id),
            checkpoint=load(self._serde, saved.checkpoint),
            metadata=load(self._serde, saved.metadata),
            parent_config=None if saved.parent is None else self._config(config, place, saved.parent),
            pending_writes=[(write.task, write.channel, load(self._serde, write.value)) for write in writes],
        )

    def _config(self, config: RunnableConfig | None, place: Place, checkpoint_id: str) -> RunnableConfig:
        named = {"thread_id": place.thread, "checkpoint_ns": place.namespace, "checkpoint_id": checkpoint_id}
        if self._user_key is not None and config is not None:
            named[self._user_key] = config["configurable"][self._user_key]
        return {"configurable": named}


class Steps(Generic[R]):
    """What a generator yields, one at a time, each in a call of its own on the store.

    Args:
        begin: Begins the generator.
    """

    def __init__(self, begin: Callable[[Checkpoints], AsyncGenerator[R, None]]) -> None:
        self._begin = begin
        self._begun: AsyncGenerator[R, None] | None = None

    async def next(self, checkpoints: Checkpoints) -> R | None:
        """Return the next one; None at the end."""
        if self._begun is None:
            self._begun = self._begin(checkpoints)
        return await anext(self._begun, None)

    async def close(self, checkpoints: Checkpoints) -> None:
        """End it, wherever it is."""
        del checkpoints
        if self._begun is not None:
            await self._begun.aclose()


def _place(config: RunnableConfig) -> Place:
    named = config["configurable"]
    if "thread_id" not in named:
        raise InvalidRecordError("the config names no thread: give `thread_id` in its `configurable`")
    return Place(_thread(named["thread_id"]), check_text(named.get("checkpoint_ns", ""), "checkpoint's namespace"))


def _thread(thread_id: object) -> str:
    return check_id(str(thread_id), "thread's id")


def _checkpoint_id(config: RunnableConfig) -> str | None:
    named = get_checkpoint_id(config)
    return check_id(named, "checkpoint's id") if named else None


async def _places(threads: Threads, config: RunnableConfig | None) -> AsyncGenerator[Place, None]:
    if config is None:
        async for place in threads.all_places():
            yield place
    elif config["configurable"].get("checkpoint_ns") is not None:
        yield _place(config)
    else:
        for place in await threads.places(_place(config).thread):
            yield place
