import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openfeature import api
from openfeature.contrib.provider.flagd import FlagdProvider
from openfeature.contrib.provider.flagd.config import ResolverType
from openfeature.evaluation_context import EvaluationContext
from openfeature.provider import ProviderStatus

from chatstore.errors import ConfigurationError
from chatstore.models import Kind, Stage, new_id
from chatstore.routing import FLAGS, StageResolver
from chatstore.routing.flags.file import Share, StageFlag, parse_flags, with_flag
from chatstore.testing import MemoryJournal

CHAT = FLAGS[Kind.CHAT]
EVERYBODY = [f"user-{number}" for number in range(2000)]
ODD = ["auth0|ünï", 'a"b', "1", "null", "{{x}}", "a,b", "日本"]

stages = st.sampled_from(Stage)
flags = st.builds(
    StageFlag,
    default=stages,
    share=st.none() | st.builds(Share, stages, st.integers(1, 100)),
    users=st.dictionaries(st.text(min_size=1).filter(lambda text: text.isprintable()), stages, max_size=5),
)


class Flagd:
    """The flag file as an app sees it: through OpenFeature and flagd's provider in file mode."""

    def __init__(self, path):
        self.path = path
        self.domain = f"test-{new_id()}"
        self.client = api.get_client(domain=self.domain)

    def write(self, flag, kind=Kind.CHAT):
        text = self.path.read_text() if self.path.exists() else ""
        self.path.write_text(with_flag(text, kind, flag))

    def start(self):
        provider = FlagdProvider(
            resolver_type=ResolverType.FILE, offline_flag_source_path=str(self.path), deadline_ms=50
        )
        api.set_provider(provider, self.domain)
        return provider

    def stages(self, users, kind=Kind.CHAT):
        return {user: self.client.get_string_value(FLAGS[kind], "none", EvaluationContext(user)) for user in users}


@pytest.fixture
def flagd(tmp_path):
    return Flagd(tmp_path / "flags.json")


@pytest.fixture
async def started(flagd):
    flagd.write(StageFlag(default=Stage.OFF))
    provider = flagd.start()
    await until(lambda: flagd.client.get_provider_status() is ProviderStatus.READY)
    yield flagd
    provider.shutdown()


@given(flags, flags)
def test_what_is_written_is_read_again(chat, documents):
    text = with_flag(with_flag("", Kind.CHAT, chat), Kind.DOCUMENTS, documents)
    assert parse_flags(text) == {Kind.CHAT: chat, Kind.DOCUMENTS: documents}
    assert text.isascii()


def test_an_empty_file_holds_no_flag():
    assert parse_flags("") == {}


def test_the_flags_of_others_stay():
    other = {"state": "ENABLED", "variants": {"on": True}, "defaultVariant": "on"}
    text = json.dumps({"$schema": "s", "flags": {"theirs": other}, "$evaluators": {"e": {}}})
    document = json.loads(with_flag(text, Kind.CHAT, StageFlag(default=Stage.LIVE)))
    assert document["flags"].pop(CHAT)["defaultVariant"] == "live"
    assert document == json.loads(text)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"flags": []}',
        json.dumps({"flags": {CHAT: None}}),
        json.dumps({"flags": {CHAT: {"state": "ENABLED", "variants": {}, "defaultVariant": "off"}}}),
        json.dumps({"flags": {CHAT: {"defaultVariant": "off", "targeting": {"if": [{"==": [1, 1]}, "live"]}}}}),
    ],
)
def test_a_file_of_another_form_is_refused_and_not_overwritten(text):
    with pytest.raises(ConfigurationError):
        parse_flags(text)
    with pytest.raises(ConfigurationError):
        with_flag(text, Kind.CHAT, StageFlag(default=Stage.OFF))


def test_a_second_share_at_another_stage_is_refused():
    flag = StageFlag(default=Stage.SHADOW).for_share(Stage.LIVE, 10)
    with pytest.raises(ConfigurationError, match="10 % of the users are at live"):
        flag.for_share(Stage.RAMPDOWN, 5)
    assert flag.for_share(Stage.LIVE, 0) == StageFlag(default=Stage.SHADOW)


def test_flagd_serves_the_default_to_everybody(started):
    assert set(started.stages(EVERYBODY).values()) == {"off"}


async def test_flagd_serves_about_the_share_and_keeps_who_was_in_it(started):
    seen = {}
    for percent in (10, 30, 100):
        started.write(StageFlag(default=Stage.SHADOW).for_share(Stage.LIVE, percent))
        await until(lambda p=percent: abs(share_of("live", started) - p) < 5)
        seen[percent] = {user for user, stage in started.stages(EVERYBODY).items() if stage == "live"}
    assert seen[10] < seen[30] < seen[100] == set(EVERYBODY)


async def test_flagd_serves_users_their_own_stage_whatever_their_ids_look_like(started):
    flag = StageFlag(default=Stage.SHADOW).for_share(Stage.LIVE, 100).for_users(Stage.DUALWRITE, ODD)
    started.write(flag.for_users(Stage.OFF, ["one"]))
    await until(lambda: started.stages(["anybody"]) == {"anybody": "live"})
    assert started.stages([*ODD, "one"]) == {**dict.fromkeys(ODD, "dualwrite"), "one": "off"}


async def test_the_router_reads_the_stage_from_the_flag_file(started):
    started.write(StageFlag(default=Stage.DUALWRITE).for_users(Stage.SHADOW, ["u1"]))
    await until(lambda: started.stages(["u2"]) == {"u2": "dualwrite"})
    resolver = StageResolver(Kind.CHAT, [MemoryJournal()], client=started.client)
    assert await resolver.resolve("u1", "s1", "append") is Stage.SHADOW
    assert await resolver.resolve("u2", "s2", "append") is Stage.DUALWRITE


def share_of(stage, flagd):
    return 100 * list(flagd.stages(EVERYBODY).values()).count(stage) / len(EVERYBODY)


async def until(condition):
    for _ in range(100):
        if condition():
            return
        await asyncio.sleep(0.05)
    pytest.fail("the provider did not see the file in time")
