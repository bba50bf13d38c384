"""Blocking callers: the same coroutines, over stores whose calls wait by themselves, so that a coroutine never does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from chatstore.interfaces import UserChat

if TYPE_CHECKING:
    from chatstore.sync import BlockingChatHistory, BlockingUserChat

R = TypeVar("R")


class DirectChat(UserChat):
    """The methods of `UserChat`, each of which waits in the caller's thread and suspends nothing.

    Args:
        chat: A blocking store, or one user's.
        user_id: Whose sessions, where it is a store.
    """

    def __init__(self, chat: BlockingChatHistory | BlockingUserChat, *user_id: str) -> None:
        self._blocking, self._named = chat, user_id

    async def _call(self, method: str, /, *args: Any, **kwargs: Any) -> Any:
        return getattr(self._blocking, method)(*self._named, *args, **kwargs)


def driven(work: Coroutine[Any, Any, R]) -> R:
    """Return what a coroutine returns that suspends nowhere; it needs no event loop."""
    try:
        work.send(None)
    except StopIteration as done:
        result: R = done.value
        return result
    work.close()
    raise AssertionError("a coroutine over a blocking store waited for an event loop")


def driven_each(work: AsyncIterator[R]) -> Iterator[R]:
    """Yield what an asynchronous generator yields that suspends nowhere."""
    try:
        while True:
            try:
                yield driven(_next(work))
            except StopAsyncIteration:
                return
    finally:
        driven(_close(work))


async def _next(work: AsyncIterator[R]) -> R:
    return await anext(work)


async def _close(work: AsyncIterator[Any]) -> None:
    await work.aclose()  # type: ignore[attr-defined] # it is a generator
