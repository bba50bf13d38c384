"""The blocking facade: the same stores for callers that have no event loop.

There is no second copy of any protocol here: every call drives the very coroutine that an async caller would await, on
an event loop in a thread of its own, which starts at the first call. Threads may share a store. After a fork the child
opens stores of its own at its first call.
"""

from __future__ import annotations

import asyncio
import functools
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar

from chatstore.interfaces import ChatHistoryStore, DocumentStore

P = ParamSpec("P")
R = TypeVar("R")


class LoopThread:
    """An event loop in a daemon thread, to run coroutines from blocking code. Starts at the first `run`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, work: Coroutine[Any, Any, R]) -> R:
        """Run a coroutine to its end and return what it returns, or raise what it raises."""
        future = asyncio.run_coroutine_threadsafe(work, self._running())
        try:
            return future.result()
        except BaseException:
            future.cancel()  # Ctrl-C ends the waiting; a write that has begun goes on, as anywhere
            raise

    def stop(self) -> None:
        """End the loop and its thread; a later `run` starts another."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None:
            loop.call_soon_threadsafe(loop.stop)

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=_serve, args=(self._loop,), name="chatstore", daemon=True).start()
            return self._loop


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()


class _Driven(Protocol):
    def _drive(self, call: Callable[[Any], Awaitable[R]]) -> R: ...


class blocking(Generic[P, R]):  # noqa: N801 - used like a decorator
    """A blocking method with the arguments and the result of an async one, which it drives."""

    def __init__(self, method: Callable[Concatenate[Any, P], Awaitable[R]]) -> None:
        self._name = method.__name__
        self.__doc__ = method.__doc__
        self.__wrapped__ = method

    def __get__(self, instance: _Driven | None, owner: type[object]) -> Callable[P, R]:
        if instance is None:
            return self  # type: ignore[return-value] # only when the class is inspected, by help() for one

        @functools.wraps(self.__wrapped__)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            result: R = instance._drive(lambda store: getattr(store, self._name)(*args, **kwargs))  # noqa: SLF001
            return result

        return call


class BlockingChatHistory:
    """A `ChatHistoryStore` for blocking callers; each method is documented there.

    Args:
        drive: Runs a call on the store and waits for it.
    """

    def __init__(self, drive: Callable[[Callable[[ChatHistoryStore], Awaitable[Any]]], Any]) -> None:
        self._drive = drive

    create_session = blocking(ChatHistoryStore.create_session)
    get_session = blocking(ChatHistoryStore.get_session)
    update_session = blocking(ChatHistoryStore.update_session)
    delete_session = blocking(ChatHistoryStore.delete_session)
    list_sessions = blocking(ChatHistoryStore.list_sessions)
    append = blocking(ChatHistoryStore.append)
    messages = blocking(ChatHistoryStore.messages)
    last_messages = blocking(ChatHistoryStore.last_messages)
    count_messages = blocking(ChatHistoryStore.count_messages)
    replace_messages = blocking(ChatHistoryStore.replace_messages)
    edit_message = blocking(ChatHistoryStore.edit_message)
    pop_message = blocking(ChatHistoryStore.pop_message)
    delete_messages = blocking(ChatHistoryStore.delete_messages)
    clear_messages = blocking(ChatHistoryStore.clear_messages)


class BlockingDocuments:
    """A `DocumentStore` for blocking callers; each method is documented there.

    Args:
        drive: Runs a call on the store and waits for it.
    """

    def __init__(self, drive: Callable[[Callable[[DocumentStore], Awaitable[Any]]], Any]) -> None:
        self._drive = drive

    upsert = blocking(DocumentStore.upsert)
    get = blocking(DocumentStore.get)
    delete = blocking(DocumentStore.delete)
    search = blocking(DocumentStore.search)
    list_documents = blocking(DocumentStore.list_documents)
    count_documents = blocking(DocumentStore.count_documents)


class OpenStores(Protocol):
    """What is opened: a chat store and a document store."""

    @property
    def chat(self) -> ChatHistoryStore:
        """The chat store."""

    @property
    def documents(self) -> DocumentStore:
        """The document store."""


class BlockingStores:
    """A chat store and a document store for blocking callers, opened at the first call and once in each process.

    Args:
        opening: Opens the async stores; called in the loop's thread, again in a process that was forked.
    """

    def __init__(self, opening: Callable[[], AbstractAsyncContextManager[OpenStores]]) -> None:
        self._opening = opening
        self._lock = threading.Lock()
        self._forget()
        self.chat = BlockingChatHistory(lambda call: self._drive(lambda stores: call(stores.chat)))
        self.documents = BlockingDocuments(lambda call: self._drive(lambda stores: call(stores.documents)))

    def close(self) -> None:
        """Finish what is under way and close the stores; a later call opens them again."""
        with self._lock:
            try:
                if self._pid == os.getpid() and self._opened is not None:
                    self._thread.run(self._opened.__aexit__(None, None, None))
            finally:
                self._thread.stop()
                self._forget()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _forget(self) -> None:
        self._pid = os.getpid()
        self._thread = LoopThread()
        self._opened: AbstractAsyncContextManager[OpenStores] | None = None
        self._stores: OpenStores | None = None

    def _drive(self, call: Callable[[OpenStores], Awaitable[R]]) -> R:
        stores = self._stores if self._pid == os.getpid() else None
        if stores is None:
            stores = self._open()
        return self._thread.run(_awaited(call, stores))

    def _open(self) -> OpenStores:
        if self._pid != os.getpid():
            # The parent's loop thread does not exist here, and its sockets are not ours to use; nor is its lock.
            self._lock = threading.Lock()
            self._forget()
        with self._lock:
            if self._stores is None:
                self._opened = self._opening()
                self._stores = self._thread.run(self._opened.__aenter__())
            return self._stores


async def _awaited(call: Callable[[OpenStores], Awaitable[R]], stores: OpenStores) -> R:
    return await call(stores)
