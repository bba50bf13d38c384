"""The blocking facade is the same store: it passes the same suites, called from threads."""

import asyncio
import inspect
import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import pytest

from chatstore.errors import UnavailableError
from chatstore.models import NewMessage, Side
from chatstore.sync import BlockingStores
from chatstore.testing import MemoryChat, MemoryDocuments
from chatstore.testing.chat_stores import ChatStoreSuite
from chatstore.testing.document_stores import DocumentStoreSuite


class Stores:
    def __init__(self):
        self.chat = MemoryChat(Side.OLD)
        self.documents = MemoryDocuments(Side.OLD)


class InThreads:
    """Gives a blocking object's methods back as coroutine functions, so that the async suites can call them."""

    def __init__(self, blocking, store):
        self.__dict__["_blocking"] = blocking
        self.__dict__["_store"] = store

    def __getattr__(self, name):
        method = getattr(self._blocking, name)
        return lambda *args, **kwargs: asyncio.to_thread(method, *args, **kwargs)

    def __setattr__(self, name, value):
        setattr(self._store, name, value)


@pytest.fixture
def opened():
    stores = Stores()

    @asynccontextmanager
    async def opening():
        yield stores

    with BlockingStores(opening) as blocking:
        yield blocking, stores


@pytest.fixture
def chat(opened):
    blocking, stores = opened
    return InThreads(blocking.chat, stores.chat)


@pytest.fixture
def documents(opened):
    blocking, stores = opened
    return InThreads(blocking.documents, stores.documents)


class TestBlockingChat(ChatStoreSuite):
    pass


class TestBlockingDocuments(DocumentStoreSuite):
    pass


def test_methods_keep_their_names_arguments_and_documentation(opened):
    append = opened[0].chat.append
    assert append.__name__ == "append"
    assert "Idempotent by message id" in append.__doc__
    assert list(inspect.signature(append).parameters)[-1] == "messages"


def test_threads_share_a_store(opened):
    chat = opened[0].chat
    session = chat.create_session("u")
    threads = [
        threading.Thread(target=chat.append, args=("u", session.id, NewMessage("user", str(i)))) for i in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert chat.count_messages("u", session.id) == 20


def test_a_forked_child_opens_stores_of_its_own(opened):
    chat = opened[0].chat
    chat.create_session("u")
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()

    def child():
        theirs.send(chat.create_session("u", title="in the child").title)

    process = context.Process(target=child)
    process.start()
    assert ours.poll(10), "the child hangs on its parent's event loop"
    assert ours.recv() == "in the child"
    process.join(10)
    assert process.exitcode == 0


def test_it_can_be_closed_and_opened_again(opened):
    blocking, _ = opened
    session = blocking.chat.create_session("u")
    blocking.close()
    assert blocking.chat.get_session("u", session.id) == session


def test_a_call_under_way_when_the_stores_are_closed_ends(opened):
    blocking, stores = opened
    begun = threading.Event()

    async def never(user_id, session_id):
        begun.set()
        await asyncio.Event().wait()

    stores.chat.get_session = never
    with ThreadPoolExecutor(1) as threads:
        call = threads.submit(blocking.chat.get_session, "u", "s")
        assert begun.wait(10)
        blocking.close()
        with pytest.raises(UnavailableError, match="closed while this call was under way"):
            call.result(10)


def test_threads_may_call_while_another_closes_again_and_again(opened):
    blocking, _ = opened
    session = blocking.chat.create_session("u")

    def read(_):
        try:
            return blocking.chat.get_session("u", session.id)
        except UnavailableError:
            return session

    with ThreadPoolExecutor(4) as threads:
        reads = [threads.submit(read, i) for i in range(200)]
        for _ in range(20):
            blocking.close()
        assert [one.result(10) for one in reads] == [session] * 200
    assert sum(thread.name == "chatstore" for thread in threading.enumerate()) <= 1


def test_stores_that_cannot_be_opened_leave_no_thread():
    @asynccontextmanager
    async def failing():
        raise UnavailableError("nobody is there (by the test's order)")
        yield

    before = threading.active_count()
    for _ in range(3):
        with pytest.raises(UnavailableError):
            BlockingStores(failing).chat.create_session("u")
    assert threading.active_count() == before
