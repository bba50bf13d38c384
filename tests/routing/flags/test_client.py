"""Which OpenFeature client is asked: of a domain, of the app's own, or of a provider that reads the flag file."""

import asyncio
import os
import threading
import time

import pytest
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.provider import ProviderStatus

from chatstore.errors import ConfigurationError
from chatstore.models import Kind, Stage, new_id
from chatstore.routing import FLAGS, StageSource
from chatstore.routing.flags.client import DOMAIN, flag_client
from chatstore.routing.flags.file import StageFlag, with_flag
from tests.routing.flags.services import Service, resolver_of, until


@pytest.fixture(autouse=True)
def looks_often(monkeypatch):
    monkeypatch.setenv("FLAGD_DEADLINE_MS", "50")


@pytest.fixture
def domain():
    return f"test-{new_id()}"


@pytest.fixture
def flag_file(tmp_path):
    path = tmp_path / "flags.json"
    set_stage(path, Stage.OFF)
    return path


def set_stage(path, stage, text=None):
    """Replace the file in one step, as `chatstore stage` does."""
    draft = path.with_suffix(".new")
    draft.write_text(with_flag("", Kind.CHAT, StageFlag(default=stage)) if text is None else text)
    draft.replace(path)


def stage_of(client, user="u"):
    return client.get_string_value(FLAGS[Kind.CHAT], "none", EvaluationContext(user))


async def served(client, stage):
    await until(lambda: stage_of(client) == stage)


async def test_without_a_word_the_domain_is_chatstores():
    async with flag_client() as (client, _):
        assert client.domain == DOMAIN == "chatstore"


async def test_a_domain_of_the_apps_is_asked():
    service = Service(Stage.LIVE).provide()
    async with flag_client(service.domain) as (client, provider):
        assert stage_of(client) == "live"
        assert provider.state().domain == service.domain


async def test_a_client_of_the_apps_is_asked_as_it_is():
    service = Service(Stage.LIVE).provide()
    own = service.client
    async with flag_client(own) as (client, _):
        assert client is own


async def test_the_flag_file_is_read_by_the_domains_provider_and_followed(flag_file, domain):
    async with flag_client(domain, flag_file) as (client, provider):
        assert stage_of(client) == "off"
        assert provider.state().name == "FlagdProvider"
        set_stage(flag_file, Stage.SHADOW)
        await served(client, "shadow")


async def test_a_flag_file_that_breaks_while_the_app_runs_is_told_and_the_last_stage_stands(flag_file, domain, caplog):
    set_stage(flag_file, Stage.SHADOW)
    async with flag_client(domain, flag_file) as (client, provider):
        stages, _ = await resolver_of(client, provider=provider)
        await stages.resolve("u", "s", "append")
        set_stage(flag_file, None, "{")
        await until(lambda: provider.state().status == "ERROR" and "is in error" in caplog.text)
        assert await stages.resolve("u", "s", "append") is Stage.SHADOW
        assert await stages.resolve("new", "s", "append") is Stage.SHADOW
        assert "JSON" in stages.report().provider.message
        set_stage(flag_file, Stage.LIVE)
        await served(client, "live")
        assert await stages.resolve("u", "s", "append") is Stage.LIVE
        assert stages.decision("u").source is StageSource.FLAG
        assert stages.decision("u").variant == "live"
        await stages.close()


async def test_a_flag_that_is_taken_out_of_the_file_keeps_each_users_stage(flag_file, domain):
    set_stage(flag_file, Stage.SHADOW)
    async with flag_client(domain, flag_file) as (client, provider):
        stages, _ = await resolver_of(client, provider=provider)
        await stages.resolve("u", "s", "append")
        set_stage(flag_file, None, '{"flags": {}}')
        await served(client, "none")
        assert await stages.resolve("u", "s", "append") is Stage.SHADOW
        assert stages.decision("u").error_code == "FLAG_NOT_FOUND"
        await stages.close()


async def test_stores_that_are_closed_do_not_blind_others_that_read_the_same_file(flag_file, domain):
    async with flag_client(domain, flag_file) as (client, _):
        async with flag_client(domain, flag_file):
            pass
        await asyncio.sleep(0.2)  # What reads the file, and was told to end, looks once more.
        set_stage(flag_file, Stage.SHADOW)
        await served(client, "shadow")
    # The last that closes ends what reads the file, and the next begins anew.
    async with flag_client(domain, flag_file) as (client, _):
        set_stage(flag_file, Stage.LIVE)
        await served(client, "live")


async def test_after_the_last_nobody_looks_at_the_file_any_more(flag_file, domain):
    def watching():
        return [thread for thread in threading.enumerate() if thread.name == "FlagdFileWatcherWorkerThread"]

    before = set(watching())
    async with flag_client(domain, flag_file) as (client, _), flag_client(domain, flag_file):
        [own] = set(watching()) - before
    await until(lambda: not own.is_alive())
    assert stage_of(client) == "none"


async def test_a_provider_that_the_app_set_meanwhile_stays(flag_file, domain):
    async with flag_client(domain, flag_file) as (client, _):
        api.set_provider_and_wait(Service(Stage.LIVE), domain)
    assert stage_of(client) == "live"


async def test_two_files_in_one_domain_are_refused(flag_file, domain, tmp_path):
    other = tmp_path / "other.json"
    set_stage(other, Stage.SHADOW)
    async with flag_client(domain, flag_file) as (client, _):
        with pytest.raises(ConfigurationError, match=r"domain of their own, `flags=…`"):
            async with flag_client(domain, other):
                pass
        async with flag_client(f"{domain}-2", other) as (second, _):
            assert (stage_of(client), stage_of(second)) == ("off", "shadow")


async def test_the_default_providers_client_is_refused_beside_a_flag_file(flag_file):
    with pytest.raises(ConfigurationError, match="client of a domain"):
        async with flag_client(api.get_client(), flag_file):
            pass


async def test_a_flag_file_that_is_no_json_is_named(flag_file, domain, monkeypatch, caplog):
    set_stage(flag_file, None, "{")
    with pytest.raises(ConfigurationError, match=r"flags\.json cannot be read: check that it is valid JSON"):
        async with flag_client(domain, flag_file):
            pass


async def test_an_apps_provider_that_is_getting_ready_is_waited_for():
    class Slow(Service):
        def initialize(self, evaluation_context):
            time.sleep(0.1)

    service = Slow(Stage.LIVE)
    api.set_provider(service, service.domain)
    async with flag_client(service.domain) as (client, provider):
        assert provider.state().status == "READY"
        assert stage_of(client) == "live"


async def test_an_apps_provider_that_never_gets_ready_does_not_keep_the_app_from_starting(monkeypatch, caplog):
    monkeypatch.setattr("chatstore.routing.flags.client._READY_WITHIN", 0.1)
    over = threading.Event()

    class Never(Service):
        def initialize(self, evaluation_context):
            over.wait()

    service = Never(Stage.LIVE)
    api.set_provider(service, service.domain)
    async with flag_client(service.domain) as (client, provider):
        assert client.get_provider_status() is ProviderStatus.NOT_READY
        assert "not ready yet" in caplog.text
        stages, _ = await resolver_of(client, provider=provider, stage=Stage.SHADOW)
        assert await stages.resolve("u", "s", "append") is Stage.SHADOW
        assert stages.decision("u").error_code == "PROVIDER_NOT_READY"
        over.set()
        await until(lambda: client.get_provider_status() is ProviderStatus.READY)
        assert await stages.resolve("u", "s", "append") is Stage.LIVE
        await stages.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
async def test_a_process_that_was_forked_reads_the_file_by_a_provider_of_its_own(flag_file, domain):
    async with flag_client(domain, flag_file):
        child = os.fork()
        if child == 0:
            try:
                os._exit(asyncio.new_event_loop().run_until_complete(_follows(flag_file, domain)))
            finally:
                os._exit(1)
        _, status = await asyncio.to_thread(os.waitpid, child, 0)
        assert os.waitstatus_to_exitcode(status) == 0


async def _follows(flag_file, domain):
    async with flag_client(domain, flag_file) as (client, _):
        set_stage(flag_file, Stage.SHADOW)
        await served(client, "shadow")
        return 0
