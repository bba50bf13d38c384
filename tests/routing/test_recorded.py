"""The recorded stage is a floor: it follows who goes on, stays where somebody put it back, and outlives a process."""

import asyncio
import logging
from contextlib import suppress

import pytest
from openfeature import api
from openfeature.exception import ProviderFatalError
from openfeature.flag_evaluation import FlagResolutionDetails, Reason
from openfeature.provider import AbstractProvider
from openfeature.provider.metadata import Metadata

from chatstore.errors import UnavailableError
from chatstore.models import Kind, Stage, utc_now
from chatstore.routing import StageResolver
from chatstore.routing.recorded import RecordedState
from chatstore.testing import MemoryJournal
from tests.flags import Flags


async def journals(**state):
    made = [MemoryJournal(), MemoryJournal()]
    for journal in made:
        await journal.remember(verified_at=utc_now(), journal_open=True, **state)
    return made


def process(both, flags, **options):
    return StageResolver(Kind.CHAT, both, client=flags.client, **options)


async def put_back(both, stage):
    """As `chatstore stage` does for everybody, once the second side was told of the stage before."""
    await asyncio.sleep(0)
    for journal in both:
        await journal.remember(stage=stage)


class _Answers(AbstractProvider):
    """A flag service that gives one answer, or raises it."""

    def __init__(self, answer):
        super().__init__()
        self._answer = answer

    def get_metadata(self):
        return Metadata("answers")

    def resolve_string_details(self, flag_key, default_value, evaluation_context=None):
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    resolve_boolean_details = resolve_integer_details = resolve_float_details = resolve_object_details = None


class _IsDown(_Answers):
    """One that cannot be reached when the process starts, and would have no right answer before."""

    def initialize(self, evaluation_context):
        raise ProviderFatalError("the flag service is down")


FAILURES = {
    "an unknown value": lambda: _Answers(FlagResolutionDetails("livee", reason=Reason.TARGETING_MATCH)),
    "a value of another type": lambda: _Answers(FlagResolutionDetails(True, reason=Reason.STATIC)),
    "a default in an error's place": lambda: _Answers(FlagResolutionDetails("off", reason=Reason.ERROR)),
    "an error": lambda: _Answers(TimeoutError("no answer in time")),
    "a service that is down": lambda: _IsDown(FlagResolutionDetails("off")),
}


def fail(flags, failure):
    with suppress(ProviderFatalError):
        api.set_provider_and_wait(FAILURES[failure](), flags._domain)


@pytest.fixture(params=FAILURES)
def failure(request):
    return request.param


def complaints(caplog):
    return [
        record.message
        for record in caplog.records
        if record.name == "chatstore.routing" and "chatstore-chat-stage" in record.message
    ]


async def test_whatever_fails_a_user_keeps_the_last_stage_and_it_is_reported(failure, caplog):
    both = await journals(stage=Stage.COMPLETE)
    stages = process(both, flags := Flags(Stage.SHADOW))
    await stages.resolve("u", "s", "append")
    fail(flags, failure)
    with caplog.at_level(logging.WARNING, "chatstore.routing"):
        for _ in range(3):
            assert await stages.resolve("u", "s", "append") is Stage.SHADOW
    assert len(complaints(caplog)) == 1


async def test_whatever_fails_a_process_that_starts_then_serves_the_recorded_stage(failure, caplog):
    both = await journals(stage=Stage.RAMPDOWN)
    fail(flags := Flags(), failure)
    stages = process(both, flags, configured=Stage.DUALWRITE)
    assert await stages.resolve("u", "s", "append") is Stage.RAMPDOWN
    assert len(complaints(caplog)) == 1


async def test_whatever_fails_where_nothing_is_recorded_the_configured_stage_stands(failure):
    both = await journals()
    fail(flags := Flags(), failure)
    assert await process(both, flags, configured=Stage.LIVE).resolve("u", "s", "append") is Stage.LIVE


@pytest.mark.parametrize("stage", [Stage.LIVE, Stage.RAMPDOWN, Stage.COMPLETE])
async def test_whatever_fails_no_stage_of_a_side_that_may_be_stale_stands(failure, stage):
    unverified = [MemoryJournal(), MemoryJournal()]
    await unverified[0].remember(stage=stage)
    fail(flags := Flags(), failure)
    assert await process(unverified, flags, configured=stage).resolve("u", "s", "append") is Stage.DUALWRITE
    closed = await journals(stage=Stage.DUALWRITE, way_back_closed=True)
    assert await process(closed, flags, configured=Stage.OFF).resolve("u", "s", "append") is Stage.COMPLETE


async def test_a_failure_records_no_stage(failure):
    both = await journals(stage=Stage.DUALWRITE)
    fail(flags := Flags(), failure)
    stages = process(both, flags)
    await stages.resolve("u", "s", "append")
    await stages.close()
    assert [(await journal.state()).stage for journal in both] == [Stage.DUALWRITE, Stage.DUALWRITE]


async def test_a_call_that_the_flag_still_sends_ahead_does_not_undo_a_stage_that_was_put_back():
    both = await journals()
    stages = process(both, flags := Flags(Stage.LIVE))
    await stages.resolve("u", "s", "append")
    await put_back(both, Stage.DUALWRITE)
    await stages.recorded.read()
    assert await stages.resolve("u", "s", "append") is Stage.LIVE
    flags.fail()
    assert await stages.resolve("u", "s", "append") is Stage.LIVE
    assert await stages.resolve("new in this process", "s", "append") is Stage.DUALWRITE
    await stages.close()
    assert [(await journal.state()).stage for journal in both] == [Stage.DUALWRITE, Stage.DUALWRITE]


async def test_where_the_flag_stays_ahead_its_stage_is_recorded_in_the_end():
    both = await journals()
    state = RecordedState(both, follow=0.05)
    await state.record(Stage.LIVE)
    await put_back(both, Stage.DUALWRITE)
    await state.read()
    async with asyncio.timeout(30):
        while (await both[1].state()).stage is not Stage.LIVE:
            await state.record(Stage.LIVE)
            await asyncio.sleep(0.01)
    await state.close()


async def test_a_stage_that_a_side_was_not_told_is_no_move_back():
    class Away(MemoryJournal):
        away = False

        async def remember(self, **fields):
            if self.away:
                raise UnavailableError("away")
            await super().remember(**fields)

    journal = Away()
    await journal.remember(stage=Stage.SHADOW)
    state = RecordedState([journal])
    await state.read()
    journal.away = True
    await state.record(Stage.LIVE)
    journal.away = False
    assert (await state.read()).stage is Stage.SHADOW
    await state.record(Stage.LIVE)
    assert (await journal.state()).stage is Stage.LIVE
