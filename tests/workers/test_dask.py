"""A migration on a Dask cluster of two worker processes, one of which is killed in the middle."""

import os
import signal

import pytest

distributed = pytest.importorskip("distributed")

from chatstore.errors import ConfigurationError, UnavailableError  # noqa: E402
from chatstore.workers import Recipe, dask_cluster, runner_on  # noqa: E402
from tests.workers.conftest import SESSIONS  # noqa: E402

# Dask's own business, at its own servers' ends.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
    ) as cluster:
        yield cluster


async def test_a_worker_of_a_cluster_is_killed_in_the_middle_and_nothing_is_missed_or_doubled(migration, cluster):
    await migration.fill()
    with distributed.Client(cluster, set_as_default=False) as client:
        before = client.run(os.getpid)
    victim = next(iter(before.values()))
    async with dask_cluster(cluster.scheduler_address, migration.recipe) as runner:
        assert runner.at_once == 8
        report = await migration.run(runner, when_moving=lambda: os.kill(victim, signal.SIGKILL))
    assert (report.copied.sessions, report.copied.messages) == (SESSIONS, SESSIONS * 5)
    await migration.check_equal()
    with distributed.Client(cluster, set_as_default=False) as client:
        assert victim not in client.run(os.getpid).values()


async def test_a_clients_own_executor_copies_with_the_settings_of_its_workers_environment(migration, cluster):
    await migration.fill(20)
    settings = migration.backends.settings
    environment = {
        "REDIS_URL": settings.redis_url.get_secret_value(),
        "SUPABASE_URL": settings.supabase_url,
        "SUPABASE_SECRET_KEY": settings.supabase_secret_key.get_secret_value(),
    }
    with distributed.Client(cluster, set_as_default=False) as client:
        client.run(lambda: os.environ.update(environment))
        runner = runner_on(client.get_executor(), Recipe.from_environment(migration.backends))
        report = await migration.run(runner)
    assert report.copied.sessions == 20
    await migration.check_equal(20)


async def test_a_scheduler_that_is_not_there_is_told_at_once(migration, monkeypatch):
    monkeypatch.setattr("chatstore.workers.dask._CONNECT_SECONDS", 0.3)
    with pytest.raises(UnavailableError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:1:"):
        async with dask_cluster("tcp://127.0.0.1:1", migration.recipe):
            pass


async def test_an_address_that_is_none_is_told(migration):
    with pytest.raises(ConfigurationError, match="'nonsense://x' is no address of a Dask scheduler"):
        async with dask_cluster("nonsense://x", migration.recipe):
            pass
