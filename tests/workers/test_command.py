"""`chatstore migrate --workers`: its processes end with it, however it ends; and what is told of wrong use."""

import os
import signal
import sys
import time
from types import ModuleType

import psutil
import psycopg
import pytest
import redis

from chatstore.errors import ConfigurationError
from chatstore.models import Kind
from chatstore.redis.keys import JournalKeys
from chatstore.workers.dask import _connected
from tests import processes
from tests.migration.hash_app import fill_chat

SESSIONS = 300


@pytest.fixture
def environment(settings, redis_database):
    with psycopg.connect(settings.supabase_db_url, autocommit=True) as connection:
        connection.execute("delete from public.sessions; delete from chatstore.migration")
    given = {"SUPABASE_URL": settings.supabase_url, "SUPABASE_SECRET_KEY": settings.supabase_secret_key}
    return {**os.environ, **given, "REDIS_URL": redis_database}


def started(environment, folder, *options):
    command = [sys.executable, "-m", "chatstore", "migrate", "--chat", *options]
    # In a session of its own, as on a terminal: Ctrl-C reaches all of its processes.
    return processes.started(command, env=environment, cwd=folder, start_new_session=True)


def workers_of(process):
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        found = [one for one in psutil.Process(process.pid).children() if "spawn_main" in " ".join(one.cmdline())]
        if len(found) == 2:
            return found
        time.sleep(0.02)
    raise AssertionError(process.communicate(timeout=5))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_its_processes_end_with_it_in_the_middle_of_a_batch_and_the_next_run_goes_on(
    environment, settings, tmp_path, number
):
    with redis.Redis.from_url(environment["REDIS_URL"]) as client:
        fill_chat(client, SESSIONS)
        with psycopg.connect(settings.supabase_db_url) as connection:
            connection.execute("lock table public.messages in exclusive mode")  # so that no batch ends
            process = started(environment, tmp_path, "--workers", "2")
            workers = workers_of(process)
            time.sleep(1.0)  # most likely enough for a worker to begin a batch
            (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
            _, said = process.communicate(timeout=30)
            _, alive = psutil.wait_procs(workers, timeout=10)
            assert alive == []
        if number == signal.SIGINT:
            assert (process.returncode, "Traceback" in said) == (130, False), said
            assert "the next run goes on there: chatstore migrate --chat --workers 2" in said
        else:
            client.delete(JournalKeys(Kind.CHAT).lease)  # it has run out
    done = started(environment, tmp_path, "--workers", "1")
    out, said = done.communicate(timeout=60)
    assert done.returncode == 0, said
    assert f"copied {SESSIONS} sessions" in out


def test_workers_and_a_cluster_at_once_are_refused(environment, tmp_path):
    done = started(environment, tmp_path, "--workers", "2", "--dask", "tcp://127.0.0.1:1")
    _, said = done.communicate(timeout=60)
    assert (done.returncode, "give one of them" in said) == (2, True)


def test_a_cluster_without_dask_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'chatstore\[dask\]'"):
        _connected("tcp://127.0.0.1:1")


@pytest.mark.parametrize("address", ["foo", "", "foo:x", "tcp:/foo:1"])
def test_what_is_no_address_of_a_cluster_is_refused_before_anything_is_looked_for(monkeypatch, address):
    monkeypatch.setitem(sys.modules, "distributed", ModuleType("distributed"))  # which has no Client
    with pytest.raises(ConfigurationError, match="no address of a Dask scheduler, as tcp://host:8786 is"):
        _connected(address)
