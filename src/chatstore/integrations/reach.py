"""How a framework's methods, each of which there is twice, reach a store that is async or its blocking facade."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Generic, Protocol, TypeVar, cast

from chatstore.errors import UnsupportedError
from chatstore.interfaces import ChatHistoryStore, DocumentStore, UserChat, UserDocuments

U = TypeVar("U")
R = TypeVar("R")

_NO_LOOP = (
    "a blocking call needs the stores of `chatstore.open_blocking()`. (Those of `chatstore.open()` will do where this "
    "object was made or used in their event loop before, and is called from another thread while that loop runs.)"
)
_OWN_LOOP = (
    "this would block the event loop that has to do the work: await the async method (its name begins with an `a`), or "
    "use stores of `chatstore.open_blocking()`"
)


class _Facade(Protocol):
    def _drive(self, call: Callable[[Any], Awaitable[R]]) -> R: ...


class Reach(Generic[U]):
    """A user's part of a store, for coroutines and for blocking code; what is done with it is a coroutine for both.

    Args:
        store: An async store, or its blocking facade.
        part: Returns the user's part of the async store.
    """

    def __init__(self, store: object, part: Callable[[Any], U]) -> None:
        self._store = store
        self._part = part
        self._is_async = isinstance(store, ChatHistoryStore | UserChat | DocumentStore | UserDocuments)
        self._home = _running_loop()

    async def wait(self, call: Callable[[U], Awaitable[R]]) -> R:
        """Do it, for a coroutine: where the store is a blocking one, a thread waits meanwhile."""
        if self._is_async:
            self._home = asyncio.get_running_loop()
            return await call(self._part(self._store))
        return await asyncio.to_thread(self.drive, call)

    def drive(self, call: Callable[[U], Awaitable[R]]) -> R:
        """Do it, for blocking code.

        Raises:
            UnsupportedError: The store is async, and no event loop of another thread is known that runs it.
        """

        async def called(store: object) -> R:
            return await call(self._part(store))

        if not self._is_async:
            return cast("_Facade", self._store)._drive(called)  # noqa: SLF001 - all of it is one coroutine on the store
        home = self._home
        if home is None or not home.is_running():
            raise UnsupportedError(_NO_LOOP)
        if home is _running_loop():
            raise UnsupportedError(_OWN_LOOP)
        return asyncio.run_coroutine_threadsafe(called(self._store), home).result()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
