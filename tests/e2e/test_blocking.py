"""Blocking callers over real servers: forks, threads, running loops, and programs that simply end."""

import asyncio
import faulthandler
import gc
import os
import pickle
import select
import signal
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import chatstore
from chatstore.errors import UnsupportedError
from chatstore.models import Stage, new_id
from chatstore.settings import load_settings

# From Python 3.12 on, a fork of a process with threads warns: that it is safe here is what these tests show.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

EAST = chatstore.Embedding.of([1, 0])


@pytest.fixture(params=["server", "embedded"])
def app_settings(request, redis_database, settings, tmp_path):
    chroma = {"chroma_url": settings.chroma_url} if request.param == "server" else {"chroma_path": tmp_path / "chroma"}
    return load_settings(
        redis_url=redis_database,
        supabase_url=settings.supabase_url,
        supabase_secret_key=settings.supabase_secret_key,
        stage=Stage.DUALWRITE,
        **chroma,
    )


@pytest.fixture
def stores(app_settings):
    with chatstore.open_blocking(app_settings) as stores:
        yield stores


def in_a_child(work):
    """Run `work` in a fork of this process, and return what it returns."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        faulthandler.dump_traceback_later(30)
        try:
            result = work()
            os.write(writing, pickle.dumps((result, None)))
        except BaseException as error:  # noqa: BLE001 - it is raised in the parent
            os.write(writing, pickle.dumps((None, repr(error))))
        finally:
            os._exit(0)
    os.close(writing)
    try:
        assert select.select([reading], [], [], 60)[0], "the child hangs"
        result, failure = pickle.loads(os.read(reading, 1 << 20))
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reading)
    assert failure is None
    return result


def use(stores, user):
    """Write and read both kinds, and return what was read."""
    session = stores.chat.create_session(user)
    stores.chat.append(user, session.id, chatstore.NewMessage("user", "hello"))
    stores.documents.upsert(user, chatstore.NewDocument("text", embedding=EAST))
    return [message.content for message in stores.chat.messages(user, session.id)], stores.documents.count_documents(
        user
    )


def sockets_of(thread):
    """The loop's sockets, as the kernel numbers them."""
    return {os.fstat(key.fd).st_ino for key in thread._selector.get_map().values()}


def sockets():
    numbers = set()
    for path in Path("/proc/self/fd").iterdir():
        try:
            status = path.stat()
        except OSError:
            continue
        if stat.S_ISSOCK(status.st_mode):
            numbers.add(status.st_ino)
    return numbers


def test_after_a_fork_both_processes_go_on_and_share_no_connection(stores, app_settings):
    user = new_id()
    assert use(stores, user) == (["hello"], 1)
    parents = sockets_of(stores._opened.thread)
    assert parents

    def child():
        shared = parents & sockets()
        assert use(stores, user) == (["hello"], 2)
        opened = stores._open()
        if app_settings.chroma_path is not None:
            # chromadb's engine cannot live on in a child: that is said, and not waited for.
            with pytest.raises(UnsupportedError, match="fork before the first call"):
                opened.thread.run(opened.stores.documents.sides.new.count())
        stores.close()
        gc.collect()
        return shared

    assert in_a_child(child) == set()
    assert use(stores, user) == (["hello"], 3)
    assert len(stores.chat.list_sessions(user).items) == 3


def test_a_fork_beside_the_calls_of_other_threads_is_safe_in_both(stores):
    user = new_id()
    session = stores.chat.create_session(user)
    stores.chat.append(user, session.id, chatstore.NewMessage("user", "x"))
    stop = threading.Event()

    def write():
        count = 0
        while not stop.wait(0.002):  # the longer the session grows, the longer the children read
            stores.chat.append(user, session.id, chatstore.NewMessage("user", "x"))
            count += 1
        return count

    def child():
        with ThreadPoolExecutor(4) as threads:
            reads = threads.map(lambda _: stores.chat.messages(user, session.id), range(8))
            return [{message.content for message in messages} for messages in reads]

    with ThreadPoolExecutor(3) as threads:
        writers = [threads.submit(write) for _ in range(3)]
        try:
            for _ in range(3):
                assert in_a_child(child) == [{"x"}] * 8
        finally:
            stop.set()
        written = sum(writer.result(20) for writer in writers)
    assert stores.chat.count_messages(user, session.id) == 1 + written


def test_a_call_looks_for_no_module_as_a_fork_beside_it_would_leave_that_one_locked(stores, monkeypatch):
    class Finder:
        def find_spec(self, name, path=None, target=None):
            looked_for.append(name)

    user, looked_for = new_id(), []
    assert use(stores, user) == (["hello"], 1)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    assert use(stores, user) == (["hello"], 2)
    stores.close()
    assert looked_for == []


def test_threads_open_the_stores_once(app_settings):
    user = new_id()
    with chatstore.open_blocking(app_settings) as stores, ThreadPoolExecutor(8) as threads:
        session = stores.chat.create_session(user)
        stores.close()
        list(
            threads.map(lambda i: stores.chat.append(user, session.id, chatstore.NewMessage("user", str(i))), range(40))
        )
        assert stores.chat.count_messages(user, session.id) == 40
        assert sum(thread.name == "chatstore" for thread in threading.enumerate()) == 1


async def test_a_running_loop_may_call_too(stores):
    assert use(stores, new_id()) == (["hello"], 1)
    assert await asyncio.to_thread(use, stores, new_id()) == (["hello"], 1)


def test_a_call_from_within_a_call_is_refused_and_not_waited_for(app_settings):
    user = new_id()

    async def embed(texts):
        stores.chat.list_sessions(user)

    with chatstore.open_blocking(app_settings, embedder=embed) as stores:
        with pytest.raises(UnsupportedError, match="would wait for itself"):
            stores.documents.upsert(user, chatstore.NewDocument("text"))
        assert use(stores, user) == (["hello"], 1)


PROGRAM = """
import chatstore, pickle, sys
from chatstore.settings import load_settings
stores = chatstore.open_blocking(load_settings(**pickle.loads(bytes.fromhex(sys.argv[1]))))
session = stores.chat.create_session("ann", session_id=sys.argv[2])
stores.chat.append("ann", session.id, chatstore.NewMessage("user", "hello"))
stores.documents.upsert("ann", chatstore.NewDocument("text", id=sys.argv[2], embedding=chatstore.Embedding.of([1, 0])))
"""


def test_a_program_may_end_without_closing(app_settings):
    given = app_settings.model_dump(exclude_unset=True)
    given = {k: v.get_secret_value() if hasattr(v, "get_secret_value") else v for k, v in given.items()}
    session = new_id()
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, pickle.dumps(given).hex(), session]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    with chatstore.open_blocking(app_settings) as stores:
        opened = stores._open()
        for store in (opened.stores.chat, opened.stores.documents):
            assert opened.thread.run(store.sides.old.journal.backlog()).marks == 0, "the second side was not waited for"
        [message] = stores.chat.messages("ann", session)
        assert message.content == "hello"
        assert stores.documents.get("ann", session).text == "text"
