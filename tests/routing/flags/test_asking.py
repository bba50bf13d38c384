"""Asking a flag service that hangs, blocks, or breaks in ways that OpenFeature does not catch."""

import asyncio
import time

import pytest
from openfeature import api
from openfeature.hook import Hook

from chatstore.models import Stage
from chatstore.routing import StageSource
from tests.routing.flags.services import Service, resolver_of

DEADLINE = 0.2


async def hanging(stage=Stage.SHADOW):
    """A service that answered once and hangs from now on."""
    service = Service(stage).provide()
    stages, _ = await resolver_of(service.client, deadline=DEADLINE)
    await stages.resolve("u", "s", "append")
    answers = asyncio.Event()
    service.before_async = answers.wait
    service.value = Stage.LIVE
    return service, stages, answers


async def test_a_service_that_hangs_holds_no_call_up_for_long_and_each_user_keeps_the_last_stage(caplog):
    _, stages, _ = await hanging()
    began = time.monotonic()
    assert await stages.resolve("u", "s", "append") is Stage.SHADOW
    assert DEADLINE <= time.monotonic() - began < 20 * DEADLINE
    decision = stages.decision("u")
    assert (decision.source, decision.error_code) == (StageSource.LAST, "GENERAL")
    assert "no answer within 0.2 s" in decision.why
    assert "no answer within 0.2 s" in caplog.text


async def test_while_it_hangs_nobody_else_waits_as_long():
    _, stages, _ = await hanging()
    await stages.resolve("u", "s", "append")
    began = time.monotonic()
    assert await stages.resolve("u", "s", "append") is Stage.SHADOW
    assert time.monotonic() - began < DEADLINE
    assert "0.05 s" in stages.decision("u").why


async def test_when_it_answers_again_its_answer_is_served_and_waited_for_as_before():
    service, stages, answers = await hanging()
    await stages.resolve("u", "s", "append")
    answers.set()
    assert await stages.resolve("u", "s", "append") is Stage.LIVE
    service.before_async = lambda: asyncio.sleep(0.1)
    service.value = Stage.SHADOW
    assert await stages.resolve("u", "s", "append") is Stage.SHADOW
    assert stages.decision("u").source is StageSource.FLAG


async def test_a_call_that_is_cancelled_while_the_service_hangs_is_cancelled():
    _, stages, _ = await hanging()
    call = asyncio.create_task(stages.resolve("u", "s", "append"))
    await asyncio.sleep(DEADLINE / 4)
    call.cancel()
    await asyncio.wait([call])
    assert call.cancelled()


async def test_a_callers_own_timeout_ends_the_call_in_time():
    _, stages, _ = await hanging()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(DEADLINE / 4):
            await stages.resolve("u", "s", "append")


async def test_a_service_that_waits_and_answers_is_served():
    service = Service(Stage.LIVE).provide()
    stages, _ = await resolver_of(service.client)

    async def asks_its_server():
        for _ in range(3):
            async with asyncio.timeout(5):
                await asyncio.sleep(0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await asyncio.sleep(5)

    service.before_async = asks_its_server
    assert await stages.resolve("u", "s", "append") is Stage.LIVE


async def test_a_service_that_blocks_is_not_asked_for_a_while(caplog):
    service = Service(Stage.SHADOW).provide()
    stages, _ = await resolver_of(service.client, deadline=0.01)
    service.before = lambda: time.sleep(0.05)
    assert await stages.resolve("u", "s", "append") is Stage.SHADOW
    service.value = Stage.LIVE
    assert [await stages.resolve("u", "s", "append") for _ in range(3)] == [Stage.SHADOW] * 3
    assert len(service.asked) == 1
    assert "held the event loop up" in caplog.text
    assert "blocked" in stages.decision("u").why


class _RaisesWhereNothingIsCaught(Hook):
    def supports_flag_value_type(self, flag_type):
        raise RuntimeError("the hook is broken")


class _RaisesBefore(Hook):
    def before(self, hook_context, hints):
        raise RuntimeError("the hook is broken")


@pytest.mark.parametrize("hook", [_RaisesBefore(), _RaisesWhereNothingIsCaught()], ids=["caught", "not caught"])
async def test_a_hook_that_raises_fails_no_call(hook, caplog):
    service = Service(Stage.LIVE).provide()
    client = service.client
    stages, _ = await resolver_of(client, stage=Stage.SHADOW)
    client.add_hooks([hook])
    assert await stages.resolve("u", "s", "append") is Stage.SHADOW
    assert "the hook is broken" in stages.decision("u").why


async def test_a_service_without_a_name_fails_no_call():
    class Nameless(Service):
        broken = False

        def get_metadata(self):
            if self.broken:
                raise RuntimeError("no name")
            return super().get_metadata()

    service = Nameless(Stage.LIVE).provide()
    stages, _ = await resolver_of(service.client, stage=Stage.SHADOW)
    service.broken = True
    assert await stages.resolve("u", "s", "append") is Stage.SHADOW
    assert stages.report().provider.name == "unknown"
    service.broken = False
    api.set_provider_and_wait(service, service.domain)


async def test_what_a_service_or_a_hook_answers_of_the_wrong_type_breaks_nothing():
    service = Service(["live"]).provide()
    stages, _ = await resolver_of(service.client, stage=Stage.SHADOW)
    assert await stages.resolve("u", "s", "append") is Stage.SHADOW
    assert stages.decision("u").error_code == "TYPE_MISMATCH"
    service.value, service.reason, service.variant = Stage.LIVE, 7, {"no": "text"}
    assert await stages.resolve("u", "s", "append") is Stage.LIVE
    decision = stages.decision("u")
    assert (decision.source, decision.reason, decision.variant) == (StageSource.FLAG, "7", "{'no': 'text'}")
