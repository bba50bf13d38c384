"""What the provider's events say reaches the log, and whoever asks how it is."""

import asyncio
import logging

import pytest
from openfeature import api

from chatstore.models import Kind, Stage, utc_now
from chatstore.routing import FLAGS, StageSource
from chatstore.routing.flags.client import flag_client
from tests.routing.flags.services import Service, resolver_of, until


@pytest.fixture
async def service():
    return Service(Stage.SHADOW).provide()


@pytest.fixture
async def stages(service):
    async with flag_client(service.domain) as (client, provider):
        made, _ = await resolver_of(client, provider=provider, refresh=3600.0)
        yield made
        await made.close()


def said(caplog):
    return [record.message for record in caplog.records if "flag provider" in record.message]


@pytest.mark.parametrize("trouble", ["error", "stale"])
async def test_a_provider_in_trouble_is_told_once_and_what_it_still_answers_is_served(service, stages, trouble, caplog):
    with caplog.at_level(logging.INFO, "chatstore.routing"):
        for _ in range(3):
            getattr(service, trouble)("the file cannot be parsed")
        await until(lambda: said(caplog))
        assert stages.report().provider.status == trouble.upper()
        assert stages.report().provider.message == "the file cannot be parsed"
        assert await stages.resolve("u", "s", "append") is Stage.SHADOW
        assert stages.decision("u").source is StageSource.FLAG
        service.ready()
        await until(lambda: len(said(caplog)) > 1)
        assert (stages.report().provider.status, stages.report().provider.message) == ("READY", None)
    first, second = said(caplog)
    assert "the file cannot be parsed" in first
    assert second == "the flag provider a service of tests is ready again"


async def test_a_provider_in_error_that_answers_nothing_keeps_the_last_stage(service, stages):
    await stages.resolve("u", "s", "append")
    service.error("away")
    service.value = None
    assert await stages.resolve("u", "s", "append") is Stage.SHADOW
    assert stages.decision("u").source is StageSource.LAST


async def test_another_trouble_of_the_same_kind_is_told_after_it_was_ready(service, stages, caplog):
    with caplog.at_level(logging.INFO, "chatstore.routing"):
        service.error("first")
        await until(lambda: len(said(caplog)) == 1)
        service.ready()
        await until(lambda: len(said(caplog)) == 2)
        service.error("second")
        await until(lambda: len(said(caplog)) == 3)
    assert "second" in said(caplog)[-1]


async def test_when_the_flag_changes_what_is_recorded_is_read_anew(service, stages):
    unverified, journal = await resolver_of(service.client, verified=False, refresh=3600.0, provider=stages._provider)
    await unverified.resolve("u", "s", "append")
    await journal.remember(verified_at=utc_now())
    service.value = Stage.LIVE
    service.changed("another-flag")
    await asyncio.sleep(0.1)
    assert await unverified.resolve("u", "s", "append") is Stage.SHADOW
    service.changed(FLAGS[Kind.CHAT])
    async with asyncio.timeout(10):
        while (stage := await unverified.resolve("u", "s", "append")) is not Stage.LIVE:
            assert stage is Stage.SHADOW
            await asyncio.sleep(0.01)
    await unverified.close()


async def test_a_provider_that_takes_the_others_place_is_heard(service, stages, caplog):
    other = Service(Stage.LIVE)
    api.set_provider_and_wait(other, service.domain)
    other.stale("old news")
    await until(lambda: any("old news" in message for message in said(caplog)))
    assert stages.report().provider.status == "STALE"
    assert await stages.resolve("u", "s", "append") is Stage.LIVE


async def test_after_closing_nothing_is_heard_any_more(caplog):
    service = Service().provide()
    async with flag_client(service.domain):
        pass
    service.error("too late")
    await asyncio.sleep(0.1)
    assert said(caplog) == []
