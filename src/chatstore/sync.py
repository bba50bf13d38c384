"""The blocking facade: the same stores for callers that have no event loop.

There is no second copy of any protocol here: every call drives the very coroutine that an async caller would await, on
an event loop in a thread of its own, which starts at the first call. Threads may share a store. After a fork the child
opens stores of its own at its first call, and the parent's go on undisturbed. A program that ends without closing its
stores has them closed.
"""

from __future__ import annotations

import atexit
import concurrent.futures.thread  # noqa: F401 - it registers its end here, so that ours below comes first
import functools
import logging
import os
import threading
import weakref
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar

from chatstore.interfaces import ChatHistoryStore, DocumentStore, UserChat, UserDocuments
from chatstore.loop_thread import LoopThread, StoppedError
from chatstore.models import Forgotten, Kind

if TYPE_CHECKING:
    from chatstore.identity import UserToken
    from chatstore.routing import StageDecision, StageReport

P = ParamSpec("P")
R = TypeVar("R")

logger = logging.getLogger("chatstore")


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

        # Made once for each store: the instance's own attributes stand before this.
        instance.__dict__[self._name] = call
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
    get_many = blocking(DocumentStore.get_many)
    delete = blocking(DocumentStore.delete)
    search = blocking(DocumentStore.search)
    list_documents = blocking(DocumentStore.list_documents)
    count_documents = blocking(DocumentStore.count_documents)


class BlockingUserChat:
    """A `UserChat` for blocking callers: the methods of `ChatHistoryStore`, each documented there, less the user's id.

    Args:
        drive: Runs a call on it and waits for it.
    """

    def __init__(self, drive: Callable[[Callable[[UserChat], Awaitable[Any]]], Any]) -> None:
        self._drive = drive

    create_session = blocking(UserChat.create_session)
    get_session = blocking(UserChat.get_session)
    update_session = blocking(UserChat.update_session)
    delete_session = blocking(UserChat.delete_session)
    list_sessions = blocking(UserChat.list_sessions)
    append = blocking(UserChat.append)
    messages = blocking(UserChat.messages)
    last_messages = blocking(UserChat.last_messages)
    count_messages = blocking(UserChat.count_messages)
    replace_messages = blocking(UserChat.replace_messages)
    edit_message = blocking(UserChat.edit_message)
    pop_message = blocking(UserChat.pop_message)
    delete_messages = blocking(UserChat.delete_messages)
    clear_messages = blocking(UserChat.clear_messages)


class BlockingUserDocuments:
    """A `UserDocuments` for blocking callers: the methods of `DocumentStore`, documented there, less the user's id.

    Args:
        drive: Runs a call on it and waits for it.
    """

    def __init__(self, drive: Callable[[Callable[[UserDocuments], Awaitable[Any]]], Any]) -> None:
        self._drive = drive

    upsert = blocking(UserDocuments.upsert)
    get = blocking(UserDocuments.get)
    get_many = blocking(UserDocuments.get_many)
    delete = blocking(UserDocuments.delete)
    search = blocking(UserDocuments.search)
    list_documents = blocking(UserDocuments.list_documents)
    count_documents = blocking(UserDocuments.count_documents)


class BlockingUserStores:
    """An app's stores as one user has them, for blocking callers; see `chatstore.stores.UserStores`.

    Args:
        user_id: Whose they are.
        drive: Runs a call on them and waits for it.

    Attributes:
        user_id: Whose they are.
    """

    def __init__(self, user_id: str, drive: Callable[[Callable[[OpenUserStores], Awaitable[Any]]], Any]) -> None:
        self.user_id = user_id
        self.chat = BlockingUserChat(lambda call: drive(lambda stores: call(stores.chat)))
        self.documents = BlockingUserDocuments(lambda call: drive(lambda stores: call(stores.documents)))


class OpenUserStores(Protocol):
    """What is opened, as one user has it."""

    @property
    def token(self) -> UserToken:
        """The user's token."""

    @property
    def chat(self) -> UserChat:
        """The user's chat history."""

    @property
    def documents(self) -> UserDocuments:
        """The user's documents."""


class OpenStores(Protocol):
    """What is opened: a chat store and a document store."""

    @property
    def chat(self) -> ChatHistoryStore:
        """The chat store."""

    @property
    def documents(self) -> DocumentStore:
        """The document store."""

    async def for_user(self, token: str | UserToken) -> OpenUserStores:
        """The stores as one user has them."""

    async def forget(self, user_id: str, *, dry_run: bool = False) -> dict[Kind, Forgotten]:
        """Delete all that is held of a user."""

    def stages(self) -> dict[Kind, StageReport]:
        """How stages are decided."""

    def stages_of(self, user_id: str) -> dict[Kind, StageDecision]:
        """At which stage a user's last call was served."""


@dataclass(frozen=True, slots=True, eq=False)
class _Opened:
    """Stores that are open, and what they run on."""

    thread: LoopThread
    context: AbstractAsyncContextManager[OpenStores]
    stores: OpenStores


class BlockingStores:
    """A chat store and a document store for blocking callers, opened at the first call and once in each process.

    Args:
        opening: Opens the async stores; called in the loop's thread, again in a process that was forked.
    """

    def __init__(self, opening: Callable[[], AbstractAsyncContextManager[OpenStores]]) -> None:
        self._opening = opening
        self._lock = threading.Lock()
        self._opened: _Opened | None = None
        self.chat = BlockingChatHistory(lambda call: self._drive(lambda stores: call(stores.chat)))
        self.documents = BlockingDocuments(lambda call: self._drive(lambda stores: call(stores.documents)))
        _in_this_process.add(self)

    def for_user(self, token: str | UserToken) -> BlockingUserStores:
        """Return the stores as one user has them, by the user's token; see `chatstore.stores.Stores.for_user`.

        A text is verified once, here: what is returned goes on when the stores are closed and opened again, and in a
        process that is forked.
        """
        verified = self._drive(lambda stores: stores.for_user(token)).token

        def drive(call: Callable[[OpenUserStores], Awaitable[R]]) -> R:
            async def as_the_user(stores: OpenStores) -> R:
                return await call(await stores.for_user(verified))

            return self._drive(as_the_user)

        return BlockingUserStores(verified.user_id, drive)

    def close(self) -> None:
        """Finish what is under way and close the stores; a later call opens them again."""
        with self._lock:
            opened, self._opened = self._opened, None
        if opened is not None:
            try:
                opened.thread.run(opened.context.__aexit__(None, None, None))
            finally:
                opened.thread.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def forget(self, user_id: str, *, dry_run: bool = False) -> dict[Kind, Forgotten]:
        """Delete all that is held of a user; see `chatstore.stores.Stores.forget`."""
        return self._drive(lambda stores: stores.forget(user_id, dry_run=dry_run))

    def stages(self) -> dict[Kind, StageReport]:
        """Return how the stages of each kind are decided; see `chatstore.stores.Stores.stages`."""

        async def ask(stores: OpenStores) -> dict[Kind, StageReport]:
            return stores.stages()

        return self._drive(ask)

    def stages_of(self, user_id: str) -> dict[Kind, StageDecision]:
        """Return at which stage a user's last call was served; see `chatstore.stores.Stores.stages_of`."""

        async def ask(stores: OpenStores) -> dict[Kind, StageDecision]:
            return stores.stages_of(user_id)

        return self._drive(ask)

    def let_go(self) -> None:
        """In a forked child: leave what the parent has opened alone, and open anew at the next call."""
        # Its lock may be held by a thread that does not exist here.
        self._lock = threading.Lock()
        if self._opened is not None:
            self._opened.thread.let_go()
            _inherited.append(self._opened)
            self._opened = None

    def _drive(self, call: Callable[[OpenStores], Awaitable[R]]) -> R:
        while True:
            opened = self._opened or self._open()
            try:
                return opened.thread.run(_awaited(call, opened.stores))
            except StoppedError:  # closed by another thread just now
                continue

    def _open(self) -> _Opened:
        with self._lock:
            if self._opened is None:
                thread, context = LoopThread(), self._opening()
                try:
                    stores = thread.run(context.__aenter__())
                except BaseException:
                    thread.stop()
                    raise
                self._opened = _Opened(thread, context, stores)
            return self._opened


async def _awaited(call: Callable[[OpenStores], Awaitable[R]], stores: OpenStores) -> R:
    return await call(stores)


_in_this_process: weakref.WeakSet[BlockingStores] = weakref.WeakSet()
_inherited: list[_Opened] = []
"""What a parent had opened: kept for good, as the end of such objects would do something to what is the parent's."""


def _forget_the_parents() -> None:
    for stores in list(_in_this_process):
        stores.let_go()


def _close_all() -> None:
    for stores in list(_in_this_process):
        try:
            stores.close()
        except Exception as error:  # noqa: BLE001 - nobody is there any more to whom it could be raised
            logger.warning("the stores could not be closed in order: %s", error)


# Not by `atexit`, where there is the other: until then every executor has been shut down, without which nothing goes on
# (no host name is looked up, Chroma is not asked), and a loop that still runs can hang the end of the interpreter.
getattr(threading, "_register_atexit", atexit.register)(_close_all)

if hasattr(os, "register_at_fork"):  # not where there is no fork
    os.register_at_fork(after_in_child=_forget_the_parents)
