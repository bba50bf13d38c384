"""Batches on executors whose workers live, die, or are given up: both sides are equal at the end."""

import asyncio
import multiprocessing
import os
import signal
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from dataclasses import replace

import pytest
from pydantic import SecretStr

from chatstore.backends import Backends
from chatstore.errors import ConfigurationError, UnavailableError
from chatstore.migration import backfill_documents, verify_documents
from chatstore.migration.batches import Batch, Work
from chatstore.models import Kind, Side
from chatstore.routing import document_repairer
from chatstore.settings import load_settings
from chatstore.workers import Recipe, process_pool, runner_on
from tests.migration.doubles import document_content, legacy_document
from tests.workers.conftest import SESSIONS


async def test_threads_copy_as_this_process_does(migration):
    await migration.fill()
    with ThreadPoolExecutor(3) as executor:
        report = await migration.run(runner_on(executor, migration.recipe))
    assert (report.copied.sessions, report.copied.messages, report.quarantined) == (SESSIONS, SESSIONS * 5, 0)
    await migration.check_equal()


async def test_a_process_of_a_pool_is_killed_in_the_middle_and_nothing_is_missed_or_doubled(migration):
    await migration.fill()
    killed = []

    def kill():
        killed.append(multiprocessing.active_children()[0])
        os.kill(killed[0].pid, signal.SIGKILL)

    async with process_pool(migration.recipe, 2) as runner:
        report = await migration.run(runner, when_moving=kill)
    assert killed[0].exitcode == -signal.SIGKILL
    assert (report.copied.sessions, report.copied.messages) == (SESSIONS, SESSIONS * 5)
    await migration.check_equal()
    assert any("lost its worker" in event.waiting_for for event in migration.events)
    assert multiprocessing.active_children() == []


async def test_documents_are_copied_by_a_pool(migration):
    sides = await migration.backends.document_sides()
    await sides.old.put([legacy_document(f"d{n}", f"text {n}", 1.0, n / 7, user=f"u{n % 3}") for n in range(40)])
    progress, repair = migration.backends.progress(Kind.DOCUMENTS), document_repairer(sides).run
    async with process_pool(migration.recipe, 1) as runner:
        report = await backfill_documents(sides.old, sides.new, progress, repair=repair, runner=runner)
    assert report.copied.documents == 40
    assert (await verify_documents(sides.old, sides.new, progress, repair=repair)).differences == ()
    assert await document_content(sides.new) == await document_content(sides.old)


class _GivesUpOnce(ThreadPoolExecutor):
    """Cancels its first batch by itself, as a cluster does whose scheduler was lost."""

    given_up = False

    def submit(self, *call):
        if not type(self).given_up:
            type(self).given_up = True
            future = Future()
            future.cancel()
            return future
        return super().submit(*call)


async def test_a_batch_that_its_executor_gives_up_is_done_by_another_executor(migration):
    await migration.fill(8)
    made = []

    def make():
        made.append(_GivesUpOnce(2))
        return made[-1]

    report = await migration.run(runner_on(make, migration.recipe))
    for executor in made:
        executor.shutdown()
    assert (len(made), report.copied.sessions) == (2, 8)
    await migration.check_equal(8)


async def test_a_pool_that_breaks_and_cannot_be_replaced_ends_the_run_and_says_what_to_give(migration):
    await migration.fill(8)
    dying = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=os._exit, initargs=(9,))
    with dying, pytest.raises(ConfigurationError, match=r"lost its worker.*give a function that makes it"):
        await migration.run(runner_on(dying, migration.recipe))


async def test_pools_whose_workers_cannot_start_end_the_run_and_are_not_made_for_ever(migration):
    await migration.fill(8)
    made = []

    def make():
        made.append(ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=os._exit, initargs=(9,)))
        return made[-1]

    with pytest.raises(ConfigurationError, match=r"3 pools in a row broke .* `if __name__ == \"__main__\":`"):
        await migration.run(runner_on(make, migration.recipe))
    for executor in made:
        executor.shutdown()
    assert len(made) == 3


class _Breaks(ThreadPoolExecutor):
    """Breaks when it has done so many batches."""

    def __init__(self, good):
        super().__init__(1)
        self._good = good

    def submit(self, *call):
        if not self._good:
            raise BrokenExecutor
        self._good -= 1
        future = super().submit(*call)
        wait([future])
        return future


async def test_pools_that_break_now_and_then_but_do_batches_in_between_are_replaced_for_as_long_as_it_takes(migration):
    await migration.fill(40)
    made = []

    def make():
        made.append(_Breaks(good=len(made) % 2))
        return made[-1]

    report = await migration.run(runner_on(make, migration.recipe))
    for executor in made:
        executor.shutdown()
    assert report.copied.sessions == 40
    assert len(made) > 6
    await migration.check_equal(40)


async def test_what_a_lost_batch_is_called_is_no_longer_than_a_line(migration):
    batch = Batch(kind=Kind.CHAT, source=Side.OLD, work=Work.COPY, keys=("x" * 10_000_000,), holder="h")
    with pytest.raises(UnavailableError) as told:
        await runner_on(lambda: _Breaks(good=0), migration.recipe)(batch)
    assert "a batch ('xxx" in str(told.value)
    assert len(str(told.value)) < 200


async def test_a_run_that_is_cancelled_ends_its_pool_in_the_middle_of_a_batch_and_the_next_goes_on(migration):
    await migration.fill(400)  # several pages: a checkpoint is behind a page

    async def run():
        async with process_pool(migration.recipe, 2) as runner:
            await migration.run(runner, when_moving=running.cancel, after=1200, batch=20)

    running = asyncio.create_task(run())
    with pytest.raises(asyncio.CancelledError):
        await running
    assert multiprocessing.active_children() == []
    report = await migration.run(None)
    assert report.resumed
    assert report.copied.sessions == 400
    await migration.check_equal(400)


async def test_a_worker_whose_settings_name_another_redis_copies_nothing(migration, stack):
    await migration.fill(8)
    empty = {"redis_url": SecretStr(stack.redis.database_url(0))}
    elsewhere = replace(migration.recipe, settings=migration.backends.settings.model_copy(update=empty))
    with ThreadPoolExecutor(1) as executor, pytest.raises(ConfigurationError, match="the old side is not being migr"):
        await migration.run(runner_on(executor, elsewhere))
    assert (await migration.sides.new.count()).sessions == 0


async def test_workers_whose_own_redis_is_another_one_that_was_migrated_copy_nothing(
    migration, other_redis_database, settings, monkeypatch, tmp_path
):
    await migration.fill(8)
    other = load_settings(_env_file=None, redis_url=other_redis_database)
    async with Backends(other) as backends:
        await (await backends.old_chat()).journal.remember(journal_open=True)
    monkeypatch.chdir(tmp_path)
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("REDIS_URL", other_redis_database)
    recipe = Recipe.from_environment(migration.backends)
    with ThreadPoolExecutor(2) as pool, pytest.raises(ConfigurationError, match="knows nothing of this run"):
        await migration.run(runner_on(pool, recipe))
    assert await migration.backends.progress(Kind.CHAT).checkpoint("backfill old to new") is None
    assert (await migration.sides.new.count()).sessions == 0
