"""The stores as one user has them: the same methods, without the user's id."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from chatstore.interfaces.chat import ChatHistoryStore
from chatstore.interfaces.documents import DocumentStore

if TYPE_CHECKING:
    from chatstore.identity import UserToken

P = ParamSpec("P")
R = TypeVar("R")


class scoped(Generic[P, R]):  # noqa: N801 - used like a decorator
    """A method with the arguments and the result of a store's, less the user's id: that is the token's."""

    def __init__(self, method: Callable[Concatenate[Any, str, P], Awaitable[R]]) -> None:
        self.__name__ = method.__name__
        self.__doc__ = method.__doc__
        whole = inspect.signature(method)
        self.__signature__ = whole.replace(parameters=[p for p in whole.parameters.values() if p.name != "user_id"])

    @overload
    def __get__(self, instance: None, owner: type[object]) -> Callable[Concatenate[Any, P], Awaitable[R]]: ...
    @overload
    def __get__(self, instance: _OneUser, owner: type[object]) -> Callable[P, Coroutine[Any, Any, R]]: ...
    def __get__(self, instance: _OneUser | None, owner: type[object]) -> Callable[..., Any]:
        return self if instance is None else functools.partial(self, instance)

    def __call__(self, view: _OneUser, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """Call it on what one user has."""
        return view._call(self.__name__, *args, **kwargs)  # noqa: SLF001 - the two are one


class _OneUser:
    """A store, and the token with which it is used: every call names the token's user, and ends with the token."""

    def __init__(self, store: ChatHistoryStore | DocumentStore, token: UserToken) -> None:
        self._store = store.for_user(token)
        self._token = token

    async def _call(self, method: str, /, *args: Any, **kwargs: Any) -> Any:
        self._token.check()
        return await getattr(self._store, method)(self._token.user_id, *args, **kwargs)


class UserChat(_OneUser):
    """One user's chat history: the methods of `ChatHistoryStore`, each documented there, without the user's id.

    Each raises a `TokenRefusedError` as well, when the user's token has expired meanwhile.

    Args:
        store: The store.
        token: The user's token.
    """

    def __init__(self, store: ChatHistoryStore, token: UserToken) -> None:
        super().__init__(store, token)

    create_session = scoped(ChatHistoryStore.create_session)
    get_session = scoped(ChatHistoryStore.get_session)
    update_session = scoped(ChatHistoryStore.update_session)
    delete_session = scoped(ChatHistoryStore.delete_session)
    list_sessions = scoped(ChatHistoryStore.list_sessions)
    append = scoped(ChatHistoryStore.append)
    messages = scoped(ChatHistoryStore.messages)
    last_messages = scoped(ChatHistoryStore.last_messages)
    count_messages = scoped(ChatHistoryStore.count_messages)
    replace_messages = scoped(ChatHistoryStore.replace_messages)
    edit_message = scoped(ChatHistoryStore.edit_message)
    pop_message = scoped(ChatHistoryStore.pop_message)
    delete_messages = scoped(ChatHistoryStore.delete_messages)
    clear_messages = scoped(ChatHistoryStore.clear_messages)


class UserDocuments(_OneUser):
    """One user's documents: the methods of `DocumentStore`, each documented there, without the user's id.

    Each raises a `TokenRefusedError` as well, when the user's token has expired meanwhile.

    Args:
        store: The store.
        token: The user's token.
    """

    def __init__(self, store: DocumentStore, token: UserToken) -> None:
        super().__init__(store, token)

    upsert = scoped(DocumentStore.upsert)
    get = scoped(DocumentStore.get)
    get_many = scoped(DocumentStore.get_many)
    delete = scoped(DocumentStore.delete)
    search = scoped(DocumentStore.search)
    list_documents = scoped(DocumentStore.list_documents)
    count_documents = scoped(DocumentStore.count_documents)
