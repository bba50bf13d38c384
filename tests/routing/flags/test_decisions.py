"""What decided a stage is kept and told: OpenFeature's reason, the variant, the error, and why the answer did not count."""

import asyncio
import logging

import pytest
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import FlagResolutionDetails, Reason
from openfeature.hook import Hook

from chatstore.models import Kind, Stage, new_id, utc_now
from chatstore.routing import FLAGS, StageResolver, StageSource
from chatstore.testing import MemoryJournal
from tests.flags import Flags
from tests.routing.flags.services import Service, resolver_of


async def test_the_answers_reason_and_variant_are_kept_for_each_user():
    service = Service(Stage.LIVE, reason=Reason.SPLIT, variant="a third").provide()
    stages, _ = await resolver_of(service.client)
    before = utc_now()
    await stages.resolve("u", "s", "append")
    service.variant, service.reason = "the rest", "VENDORS_OWN"
    await stages.resolve("v", "s", "append")
    first, second = stages.decision("u"), stages.decision("v")
    assert (first.kind, first.stage, first.source) == (Kind.CHAT, Stage.LIVE, StageSource.FLAG)
    assert (first.reason, first.variant, first.error_code, first.why) == ("SPLIT", "a third", None, None)
    assert (second.reason, second.variant) == ("VENDORS_OWN", "the rest")
    assert before <= first.at <= second.at <= utc_now()
    assert stages.decision("nobody") is None
    await stages.resolve("u", "s", "append")
    assert stages.decision("u").variant == "the rest"
    assert stages.report().fallbacks == 0


async def test_a_stale_or_cached_answer_is_served_and_told():
    service = Service(Stage.LIVE, reason=Reason.STALE).provide()
    stages, _ = await resolver_of(service.client)
    assert await stages.resolve("u", "s", "append") is Stage.LIVE
    assert stages.decision("u").reason == "STALE"


async def test_an_error_is_told_with_its_code_and_counted():
    service = Service(Stage.LIVE).provide()
    stages, _ = await resolver_of(service.client, stage=Stage.SHADOW)
    await stages.resolve("known", "s", "append")
    service.value = FlagResolutionDetails("live", ErrorCode.PARSE_ERROR, "a comma too many", Reason.ERROR)
    await stages.resolve("known", "s", "append")
    await stages.resolve("new", "s", "append")
    known, new, report = stages.decision("known"), stages.decision("new"), stages.report()
    assert (known.stage, known.source, known.error_code) == (Stage.LIVE, StageSource.LAST, "PARSE_ERROR")
    assert (new.stage, new.source) == (Stage.LIVE, StageSource.RECORDED)
    assert "a comma too many" in new.why
    assert (report.flag, report.fallbacks) == (FLAGS[Kind.CHAT], 2)
    assert (report.recorded, report.last_fallback.why) == (Stage.LIVE, new.why)
    assert report.provider.name == "a service of tests"


async def test_each_error_is_logged_once_and_the_end_of_it_too(caplog):
    service = Service(Stage.SHADOW).provide()
    stages, _ = await resolver_of(service.client)

    def says(message):
        service.value = FlagResolutionDetails("", ErrorCode.GENERAL, message, Reason.ERROR)

    with caplog.at_level(logging.INFO, "chatstore.routing"):
        for number in range(3):
            says(f"request {number} failed")
            await stages.resolve("u", "s", "append")
        service.value = Stage.SHADOW
        await stages.resolve("u", "s", "append")
        await stages.resolve("u", "s", "append")
        says("again")
        await stages.resolve("u", "s", "append")
    flag = FLAGS[Kind.CHAT]
    assert [record.message for record in caplog.records if flag in record.message] == [
        f"flag {flag} has no answer (GENERAL: request 0 failed)",
        f"flag {flag} is answered again",
        f"flag {flag} has no answer (GENERAL: again)",
    ]


async def test_without_a_provider_the_configured_stage_stands_and_no_warning_is_logged(caplog):
    stages, _ = await resolver_of(api.get_client(domain=new_id()), configured=Stage.DUALWRITE)
    with caplog.at_level(logging.INFO, "chatstore.routing"):
        assert await stages.resolve("u", "s", "append") is Stage.DUALWRITE
    decision = stages.decision("u")
    assert (decision.source, decision.reason) == (StageSource.CONFIGURED, "DEFAULT")
    assert "is not set" in decision.why
    assert [record.levelname for record in caplog.records if "is not set" in record.message] == ["INFO"]


@pytest.mark.parametrize("reason", [Reason.DISABLED, Reason.STATIC])
async def test_a_flag_that_is_switched_off_or_empty_is_a_warning(reason, caplog):
    service = Service("", reason=reason).provide()
    stages, _ = await resolver_of(service.client, stage=Stage.SHADOW)
    assert await stages.resolve("u", "s", "append") is Stage.SHADOW
    assert [record.levelname for record in caplog.records if FLAGS[Kind.CHAT] in record.message] == ["WARNING"]
    assert stages.decision("u").reason == reason


async def test_a_refused_stage_is_told_with_what_to_do():
    stages, _ = await resolver_of(Flags(Stage.LIVE).client, verified=False)
    assert await stages.resolve("u", "s", "append") is Stage.OFF
    decision = stages.decision("u")
    assert (decision.source, decision.reason, decision.error_code) == (StageSource.CONFIGURED, "TARGETING_MATCH", None)
    assert "chatstore verify" in decision.why
    assert stages.report().last_fallback.why == decision.why


async def test_who_stays_where_a_stage_is_refused_anew_is_told_so_and_did_not_fall_back():
    stages, journal = await resolver_of(Flags(Stage.LIVE).client)
    await stages.resolve("u", "s", "append")
    await journal.remember(differed_at=utc_now())
    await stages.recorded.read()
    assert await stages.resolve("u", "s", "append") is Stage.LIVE
    decision = stages.decision("u")
    assert decision.source is StageSource.FLAG
    assert "differed" in decision.why
    assert stages.report().fallbacks == 0


async def test_where_nothing_may_be_served_the_safe_stage_says_so():
    stages, _ = await resolver_of(Flags(Stage.LIVE).client, verified=False, stage=Stage.LIVE)
    assert await stages.resolve("u", "s", "append") is Stage.DUALWRITE
    assert stages.decision("u").source is StageSource.SAFE


class _Listens(Hook):
    """A hook that writes down when it was called, and gives the evaluation a tenant."""

    def __init__(self, name, heard):
        self.name, self.heard = name, heard

    def before(self, hook_context, hints):
        self.heard.append((self.name, "before", hook_context.evaluation_context.targeting_key))
        return EvaluationContext(attributes={"tenant": f"of {self.name}"})

    def after(self, hook_context, details, hints):
        self.heard.append((self.name, "after", details.value))

    def error(self, hook_context, exception, hints):
        self.heard.append((self.name, "error", str(exception.error_message)))

    def finally_after(self, hook_context, details, hints):
        self.heard.append((self.name, "finally", details.reason))


@pytest.fixture
def api_hook():
    heard = []
    kept = api.get_hooks()
    api.add_hooks([_Listens("api", heard)])
    yield heard
    api.clear_hooks()
    api.add_hooks(kept)


async def test_the_apps_hooks_run_around_each_evaluation(api_hook):
    heard, service = api_hook, Service(Stage.LIVE, reason=Reason.STATIC).provide()
    client = service.client
    client.context = EvaluationContext(attributes={"region": "eu"})
    stages, _ = await resolver_of(client)
    client.add_hooks([_Listens("client", heard)])
    for _ in range(2):
        heard.clear()
        assert await stages.resolve("u", "s", "append") is Stage.LIVE
        assert heard == [
            ("api", "before", "u"),
            ("client", "before", "u"),
            ("client", "after", "live"),
            ("api", "after", "live"),
            ("client", "finally", "STATIC"),
            ("api", "finally", "STATIC"),
        ]
    [*_, context] = service.asked
    assert context.targeting_key == "u"
    assert context.attributes == {"key": "s", "operation": "append", "region": "eu", "tenant": "of client"}


async def test_the_apps_hooks_hear_of_an_error(api_hook):
    service = Service(FlagResolutionDetails("", ErrorCode.GENERAL, "away", Reason.ERROR)).provide()
    stages, _ = await resolver_of(service.client)
    await stages.resolve("u", "s", "append")
    assert api_hook == [("api", "before", "u"), ("api", "error", "away"), ("api", "finally", "ERROR")]


async def test_in_a_turn_nothing_is_asked_and_the_decision_is_that_of_its_beginning():
    service = Service(Stage.SHADOW, variant="v").provide()
    stages, _ = await resolver_of(service.client)
    async with stages.turn("u"):
        service.value = Stage.LIVE
        await stages.resolve("u", "s", "append")
    assert len(service.asked) == 1
    assert stages.decision("u").stage is Stage.SHADOW


async def test_a_side_that_answers_late_does_not_undo_what_was_recorded_meanwhile():
    answers = asyncio.Event()

    class Late(MemoryJournal):
        async def state(self):
            found = await super().state()
            await answers.wait()
            return found

    stages = StageResolver(Kind.CHAT, [MemoryJournal(), Late()], client=Flags(Stage.DUALWRITE).client, refresh=3600.0)
    await stages.resolve("u", "s", "append")
    assert stages.report().recorded is Stage.DUALWRITE
    answers.set()
    await asyncio.sleep(0.05)
    assert stages.report().recorded is Stage.DUALWRITE
    await stages.close()
