"""Which stage a call is served at, whatever the flag service does."""

import asyncio
import logging

import pytest

from chatstore.errors import UnavailableError
from chatstore.models import Kind, MigrationState, Side, Stage, utc_now
from chatstore.routing import ROUTES, StageResolver, refusal
from chatstore.testing import MemoryJournal
from tests.flags import Flags

VERIFIED = MigrationState(verified_at=utc_now())


async def resolver(flags, *, configured=Stage.OFF, verified=True, **state):
    journals = [MemoryJournal(), MemoryJournal()]
    if verified:
        await journals[0].remember(verified_at=utc_now(), **state)
    return StageResolver(Kind.CHAT, journals, configured=configured, client=flags.client), journals


@pytest.mark.parametrize("stage", list(Stage))
async def test_the_flag_decides_at_every_call(stage):
    stages, _ = await resolver(flags := Flags(Stage.OFF))
    assert await stages.resolve("u", "s", "append") is Stage.OFF
    flags.set(stage)
    assert await stages.resolve("u", "s", "append") is stage


async def test_one_user_can_be_moved_alone():
    stages, _ = await resolver(flags := Flags(Stage.DUALWRITE))
    flags.move("early", Stage.LIVE)
    assert await stages.resolve("early", "s", "append") is Stage.LIVE
    assert await stages.resolve("late", "s", "append") is Stage.DUALWRITE


async def test_a_failing_provider_keeps_each_users_last_stage():
    stages, _ = await resolver(flags := Flags(Stage.SHADOW))
    flags.move("early", Stage.LIVE)
    for user in ("early", "late"):
        await stages.resolve(user, "s", "append")
    flags.fail()
    assert await stages.resolve("early", "s", "append") is Stage.LIVE
    assert await stages.resolve("late", "s", "append") is Stage.SHADOW


async def test_an_unknown_user_gets_the_recorded_stage_when_the_provider_fails():
    stages, journals = await resolver(flags := Flags(Stage.RAMPDOWN))
    await stages.resolve("known", "s", "append")
    flags.fail()
    assert await stages.resolve("unknown", "s", "append") is Stage.RAMPDOWN
    another_process = StageResolver(Kind.CHAT, journals, client=flags.client)
    assert await another_process.resolve("known", "s", "append") is Stage.RAMPDOWN


async def test_without_any_provider_the_configured_stage_stands():
    flags = Flags()
    flags.fail()
    stages, _ = await resolver(flags, configured=Stage.DUALWRITE)
    assert await stages.resolve("u", "s", "append") is Stage.DUALWRITE


async def test_an_unknown_value_is_reported_and_changes_nothing(caplog):
    stages, _ = await resolver(flags := Flags(Stage.SHADOW))
    await stages.resolve("u", "s", "append")
    flags.set("livee")
    with caplog.at_level(logging.WARNING, "chatstore.routing"):
        for _ in range(3):
            assert await stages.resolve("u", "s", "append") is Stage.SHADOW
    assert [record.message for record in caplog.records if "livee" in record.message] == [
        "flag chatstore-chat-stage says 'livee'; a stage is one of off, dualwrite, shadow, live, rampdown, complete"
    ]


@pytest.mark.parametrize("stage", [Stage.LIVE, Stage.RAMPDOWN, Stage.COMPLETE])
async def test_a_stage_that_reads_an_unverified_side_is_refused(stage, caplog):
    stages, _ = await resolver(flags := Flags(Stage.SHADOW), verified=False)
    await stages.resolve("u", "s", "append")
    flags.set(stage)
    assert await stages.resolve("u", "s", "append") is Stage.SHADOW
    assert "chatstore verify" in caplog.text
    assert await stages.resolve("new in this process", "s", "append") is Stage.SHADOW


async def test_a_difference_found_later_takes_the_verification_back(caplog):
    stages, journals = await resolver(flags := Flags(Stage.SHADOW))
    await stages.resolve("u", "s", "append")
    await journals[0].remember(differed_at=utc_now())
    await stages.recorded.read()
    flags.set(Stage.LIVE)
    assert await stages.resolve("u", "s", "append") is Stage.SHADOW
    assert "differed from the old one" in caplog.text


@pytest.mark.parametrize("stage", [Stage.LIVE, Stage.RAMPDOWN, Stage.COMPLETE])
async def test_a_difference_found_later_moves_nobody_who_is_there(stage, caplog):
    stages, journals = await resolver(flags := Flags(stage))
    await stages.resolve("u", "s", "append")
    await journals[0].remember(differed_at=utc_now())
    await stages.recorded.read()
    assert await stages.resolve("u", "s", "append") is stage
    assert await stages.resolve("new in this process", "s", "append") is stage
    assert "differed from the old one" in caplog.text
    flags.fail()
    assert await stages.resolve("u", "s", "append") is stage
    assert await stages.resolve("another", "s", "append") is stage


@pytest.mark.parametrize("stage", [Stage.LIVE, Stage.RAMPDOWN, Stage.COMPLETE])
async def test_a_difference_from_an_old_side_that_is_let_fall_behind_keeps_nobody_from_the_new_one(stage):
    stages, journals = await resolver(Flags(stage), way_back_closed=True)
    await journals[0].remember(differed_at=utc_now())
    assert await stages.resolve("u", "s", "append") is stage


async def test_while_neither_side_says_how_far_the_migration_is_no_stage_is_guessed():
    class Away(MemoryJournal):
        away = True

        async def state(self):
            if self.away:
                raise UnavailableError("away")
            return await super().state()

    journal = Away()
    await journal.remember(verified_at=utc_now())
    stages = StageResolver(Kind.CHAT, [journal], client=Flags(Stage.COMPLETE).client)
    with pytest.raises(UnavailableError, match="neither side"):
        await stages.resolve("u", "s", "append")
    journal.away = False
    assert await stages.resolve("u", "s", "append") is Stage.COMPLETE


async def test_a_side_that_hangs_does_not_hold_the_first_call_up():
    class Hangs(MemoryJournal):
        async def state(self):
            await asyncio.sleep(60)

        async def remember(self, **_):
            await asyncio.sleep(60)

    here = MemoryJournal()
    stages = StageResolver(Kind.CHAT, [here, Hangs()], client=Flags(Stage.DUALWRITE).client)
    async with asyncio.timeout(30):
        assert await stages.resolve("u", "s", "append") is Stage.DUALWRITE
    assert (await here.state()).stage is Stage.DUALWRITE
    await stages.close()


async def test_from_dualwrite_on_the_journals_are_open():
    stages, journals = await resolver(flags := Flags(Stage.OFF), verified=False)
    await stages.resolve("u", "s", "append")
    assert not (await journals[0].state()).journal_open
    flags.set(Stage.DUALWRITE)
    await stages.resolve("u", "s", "append")
    await asyncio.sleep(0)
    assert all([(await journal.state()).journal_open for journal in journals])


@pytest.mark.parametrize("stage", [Stage.OFF, Stage.DUALWRITE, Stage.SHADOW])
async def test_no_way_leads_back_after_it_was_closed(stage):
    stages, _ = await resolver(Flags(stage), way_back_closed=True)
    assert await stages.resolve("u", "s", "append") is Stage.COMPLETE


async def test_the_users_who_called_last_are_remembered():
    stages, _ = await resolver(flags := Flags(Stage.SHADOW))
    stages._users = 2
    flags.move("busy", Stage.DUALWRITE)
    for user in ("busy", "one", "busy", "other"):
        await stages.resolve(user, "s", "append")
    flags.fail()
    assert await stages.resolve("busy", "s", "append") is Stage.DUALWRITE


async def test_a_turn_holds_one_stage_through_a_flip():
    stages, _ = await resolver(flags := Flags(Stage.DUALWRITE))
    async with stages.turn("u") as held:
        assert held is Stage.DUALWRITE
        flags.set(Stage.LIVE)
        assert await stages.resolve("u", "s", "append") is Stage.DUALWRITE
    assert await stages.resolve("u", "s", "append") is Stage.LIVE


async def test_a_turn_is_its_users_only_and_ends_for_tasks_that_were_started_in_it():
    stages, _ = await resolver(flags := Flags(Stage.DUALWRITE))
    over = asyncio.Event()

    async def later():
        await over.wait()
        return await stages.resolve("u", "s", "append")

    async with stages.turn("u"):
        flags.set(Stage.LIVE)
        assert await stages.resolve("somebody else", "s", "append") is Stage.LIVE
        started = asyncio.create_task(later())
        await asyncio.sleep(0)
    over.set()
    assert await started is Stage.LIVE


async def test_an_unreachable_journal_does_not_stop_the_app():
    class Away(MemoryJournal):
        async def state(self):
            raise UnavailableError("away")

        async def remember(self, **_):
            raise UnavailableError("away")

    here = MemoryJournal()
    await here.remember(verified_at=utc_now())
    stages = StageResolver(Kind.CHAT, [Away(), here], client=Flags(Stage.COMPLETE).client)
    assert await stages.resolve("u", "s", "append") is Stage.COMPLETE


def test_the_table_is_the_designs():
    old, new = Side.OLD, Side.NEW
    assert {stage: (route.first, route.second, route.shadow) for stage, route in ROUTES.items()} == {
        Stage.OFF: (old, None, False),
        Stage.DUALWRITE: (old, new, False),
        Stage.SHADOW: (old, new, True),
        Stage.LIVE: (new, old, True),
        Stage.RAMPDOWN: (new, old, False),
        Stage.COMPLETE: (new, None, False),
    }
    assert all(refusal(stage, VERIFIED) is None for stage in Stage)
