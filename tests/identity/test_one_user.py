"""The stores as one user has them are the same stores: they pass the same suites, and no operation is left out."""

import asyncio
import inspect
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from chatstore.identity.user_token import user_token
from chatstore.interfaces import ChatHistoryStore, DocumentStore, UserChat, UserDocuments
from chatstore.models import Side, utc_now
from chatstore.stores import Stores
from chatstore.sync import (
    BlockingChatHistory,
    BlockingDocuments,
    BlockingStores,
    BlockingUserChat,
    BlockingUserDocuments,
)
from chatstore.testing import MemoryChat, MemoryDocuments
from chatstore.testing.chat_stores import ChatStoreSuite
from chatstore.testing.document_stores import DocumentStoreSuite

OF_STORES = {"write", "search_by_embedding", "get_each"}
"""What a store's own methods are made of, and no app calls."""


def token_of(user):
    return user_token(user, utc_now() + timedelta(hours=1), "a.b.c")


class ByToken:
    """Calls a method that names a user on what that user has, so that the suites of whole stores can be used."""

    def __init__(self, store, view_of):
        self.__dict__.update(_store=store, _view_of=view_of)

    def __getattr__(self, name):
        return lambda user, *args, **kwargs: getattr(self._view_of(user), name)(*args, **kwargs)

    def __setattr__(self, name, value):
        setattr(self._store, name, value)


class TestUserChat(ChatStoreSuite):
    @pytest.fixture
    def chat(self):
        store = MemoryChat(Side.OLD)
        return ByToken(store, lambda user: UserChat(store, token_of(user)))


class TestUserDocuments(DocumentStoreSuite):
    @pytest.fixture
    def documents(self):
        store = MemoryDocuments(Side.OLD)
        return ByToken(store, lambda user: UserDocuments(store, token_of(user)))


class InThreads:
    """A blocking view whose methods can be awaited."""

    def __init__(self, blocking):
        self._blocking = blocking

    def __getattr__(self, name):
        method = getattr(self._blocking, name)
        return lambda *args, **kwargs: asyncio.to_thread(method, *args, **kwargs)


@pytest.fixture
def opened():
    stores = Stores(MemoryChat(Side.OLD), MemoryDocuments(Side.OLD))

    @asynccontextmanager
    async def opening():
        yield stores

    with BlockingStores(opening) as blocking:
        yield blocking, stores


class TestBlockingUserChat(ChatStoreSuite):
    @pytest.fixture
    def chat(self, opened):
        blocking, stores = opened
        return ByToken(stores.chat, lambda user: InThreads(blocking.for_user(token_of(user)).chat))


class TestBlockingUserDocuments(DocumentStoreSuite):
    @pytest.fixture
    def documents(self, opened):
        blocking, stores = opened
        return ByToken(stores.documents, lambda user: InThreads(blocking.for_user(token_of(user)).documents))


def methods(kind):
    return {name for name, value in vars(kind).items() if callable(value) and not name.startswith("_")}


@pytest.mark.parametrize(
    ("store", "views"),
    [
        (ChatHistoryStore, (UserChat, BlockingUserChat, BlockingChatHistory)),
        (DocumentStore, (UserDocuments, BlockingUserDocuments, BlockingDocuments)),
    ],
)
def test_no_operation_is_left_out(store, views):
    of_a_user = {name for name in methods(store) if "user_id" in inspect.signature(getattr(store, name)).parameters}
    assert of_a_user
    for view in views:
        assert {name for name in vars(view) if not name.startswith("_")} == of_a_user - OF_STORES


@pytest.mark.parametrize("view", [UserChat.append, BlockingUserChat.append])
def test_a_method_says_what_it_takes_and_does(view):
    assert view.__doc__ == ChatHistoryStore.append.__doc__
    assert "user_id" not in str(inspect.signature(getattr(view, "__wrapped__", view)))


def test_a_blocking_view_says_what_it_takes_and_does(opened):
    append = opened[0].for_user(token_of("ann")).chat.append
    assert append.__name__ == "append"
    assert list(inspect.signature(append).parameters)[-2:] == ["session_id", "messages"]
