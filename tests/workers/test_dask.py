"""A migration on a Dask cluster of two worker processes, one of which is killed in the middle."""

import os
import re
import signal
from pathlib import Path

import pytest

distributed = pytest.importorskip("distributed")

from chatstore.errors import ConfigurationError, UnavailableError  # noqa: E402
from chatstore.migration import BackfillOptions, backfill_chat  # noqa: E402
from chatstore.models import Kind  # noqa: E402
from chatstore.routing import chat_repairer  # noqa: E402
from chatstore.workers import dask_cluster  # noqa: E402
from tests.workers.conftest import SESSIONS  # noqa: E402

SCALE = Path(__file__).parents[2] / "docs" / "scale.md"

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


async def test_the_lines_on_scale_copy_with_the_settings_of_the_workers_own_environment(migration, cluster):
    [block] = re.findall(r"```python\n(.*?)```", SCALE.read_text(), re.DOTALL)
    await migration.fill(20)
    settings = migration.backends.settings
    environment = {
        "REDIS_URL": settings.redis_url.get_secret_value(),
        "SUPABASE_URL": settings.supabase_url,
        "SUPABASE_SECRET_KEY": settings.supabase_secret_key.get_secret_value(),
    }
    with distributed.Client(cluster, set_as_default=False) as client:
        client.run(lambda: os.environ.update(environment))
        sides, backends = migration.sides, migration.backends
        names = {"client": client, "sides": sides, "backends": backends, "repair": chat_repairer(sides).run}
        names |= {"progress": backends.progress(Kind.CHAT), "backfill_chat": backfill_chat}
        body = "".join(f"    {line}\n" for line in block.splitlines())
        exec(f"async def example():\n{body}    return report", scope := {**names, "BackfillOptions": BackfillOptions})
        report = await scope["example"]()
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
