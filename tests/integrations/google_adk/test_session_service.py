"""`ChatstoreSessionService` is a session service of ADK's: as ADK's own in memory, as far as it goes."""

import asyncio
import math

import pytest
from google.adk.agents import BaseAgent
from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.errors.session_not_found_error import SessionNotFoundError
from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.adk.runners import Runner
from google.adk.sessions import InMemorySessionService
from google.adk.sessions.base_session_service import GetSessionConfig
from google.genai.types import Blob, Content, FunctionCall, FunctionResponse, Part

import chatstore
from chatstore.integrations.google_adk import ChatstoreSessionService
from chatstore.models import Side, Stage, utc_now
from chatstore.redis import RedisChat, chat_layout, connect
from chatstore.routing import Sides, chat_repairer
from chatstore.settings import load_settings
from chatstore.supabase import ServiceClient, SupabaseChat
from chatstore.testing import MemoryChat
from tests.flags import Flags
from tests.routing.pair import chat_pair, router_over

HERE = {"app_name": "support", "user_id": "u1"}
S1 = {**HERE, "session_id": "s1"}


def event(*parts, author="agent", delta=None, **given):
    content = Content(role="user" if author == "user" else "model", parts=list(parts)) if parts else None
    actions = EventActions(state_delta=delta or {}, artifact_delta={"a.txt": 1} if delta else {})
    return Event(invocation_id="i1", author=author, content=content, actions=actions, **given)


def text(words):
    return Part(text=words)


EVENTS = {
    "a question": event(text("Where is my order?"), author="user"),
    "two texts": event(text("One"), text("Two")),
    "a call": event(
        Part(function_call=FunctionCall(id="c1", name="find", args={"b": 17, "a": [1.5, None]})),
        long_running_tool_ids={"c1"},
    ),
    "its answer": event(Part(function_response=FunctionResponse(id="c1", name="find", response={"left": "at nine"}))),
    "a picture": event(Part(inline_data=Blob(data=b"\x89PNG\xff", mime_type="image/png")), text("A cup")),
    "thoughts": event(Part(text="The order first.", thought=True, thought_signature=b"\x00\xff"), text("It left.")),
    "a change of state": event(text("Noted."), delta={"topic": "orders", "n": {"deep": [1, None]}, "gone": None}),
    "no content": event(author="system", turn_complete=True, error_code="500", error_message="It broke."),
    "every script": event(text("Žlutý 馬 🐎 \u0000 \u2028")),
    "a branch": event(text("x"), branch="a.b", custom_metadata={"k": {"v": 1}}),
}


@pytest.fixture
def chat():
    return MemoryChat(Side.OLD)


@pytest.fixture
def service(chat):
    return ChatstoreSessionService(chat)


@pytest.fixture(params=["ours", "ADK's own"])
def either(request, service):
    """What holds for ADK's own service holds for ours."""
    return service if request.param == "ours" else InMemorySessionService()


async def test_events_of_every_kind_come_back_as_they_were(either):
    session = await either.create_session(**S1)
    for each in EVENTS.values():
        await either.append_event(session, each.model_copy(deep=True))
    found = await either.get_session(**S1)
    assert found.events == list(EVENTS.values()) == session.events
    assert found.state == session.state == {"topic": "orders", "n": {"deep": [1, None]}, "gone": None}


async def test_state_is_what_the_session_began_with_and_what_events_changed(either):
    session = await either.create_session(**S1, state={"a": 1, "b": [2], "temp:t": 3})
    assert session.state == {"a": 1, "b": [2]}
    await either.append_event(session, event(delta={"a": 5, "temp:x": 6}))
    assert session.state == {"a": 5, "b": [2], "temp:x": 6}
    found = await either.get_session(**S1)
    assert found.state == {"a": 5, "b": [2]}
    assert found.events[0].actions.state_delta == {"a": 5}
    found.state["b"].append(7)
    assert (await either.get_session(**S1)).state["b"] == [2]


async def test_only_the_recent_events_are_given_where_they_are_asked_for(either):
    session = await either.create_session(**S1)
    events = [event(text(str(n)), delta={"n": n}, timestamp=float(n)) for n in range(1, 6)]
    for each in events:
        await either.append_event(session, each)
    for config, wanted in (
        (GetSessionConfig(num_recent_events=2), events[3:]),
        (GetSessionConfig(num_recent_events=0), []),
        (GetSessionConfig(after_timestamp=4.0), events[3:]),
        (GetSessionConfig(num_recent_events=3, after_timestamp=5.0), events[4:]),
    ):
        found = await either.get_session(**S1, config=config)
        assert (found.events, found.state) == (wanted, {"n": 5})


async def test_a_partial_event_is_kept_nowhere(either):
    session = await either.create_session(**S1)
    await either.append_event(session, event(text("It l"), partial=True))
    assert session.events == (await either.get_session(**S1)).events == []


async def test_an_event_that_is_appended_again_is_there_once(either):
    session = await either.create_session(**S1)
    for _ in range(2):
        await either.append_event(session, EVENTS["a change of state"].model_copy(deep=True))
    assert len(session.events) == len((await either.get_session(**S1)).events) == 1


async def test_a_session_is_created_once(either):
    await either.create_session(**S1, state={"a": 1})
    with pytest.raises(AlreadyExistsError):
        await either.create_session(**S1, state={"a": 1})
    made = await either.create_session(**HERE)
    assert made.id
    assert (await either.get_session(**HERE, session_id=made.id)).id == made.id


async def test_a_users_sessions_of_an_app_are_listed_the_last_written_last(either):
    for name in ("s1", "s2", "s3"):
        await either.create_session(**HERE, session_id=name)
    await either.create_session(app_name="other", user_id="u1", session_id="s4")
    await either.create_session(app_name="support", user_id="u2", session_id="s5")
    await either.append_event(
        await either.get_session(**S1), EVENTS["a question"].model_copy(update={"timestamp": 4e9})
    )
    listed = (await either.list_sessions(**HERE)).sessions
    assert [session.id for session in listed] == ["s2", "s3", "s1"]
    assert listed[2].events == []


async def test_a_deleted_session_is_gone(either):
    session = await either.create_session(**S1)
    await either.append_event(session, EVENTS["a question"])
    for _ in range(2):
        await either.delete_session(**S1)
    assert await either.get_session(**S1) is None
    with pytest.raises(SessionNotFoundError):
        await either.append_event(session, EVENTS["two texts"])


@pytest.mark.parametrize("elsewhere", [{"app_name": "other"}, {"user_id": "u2"}, {"session_id": "s2"}])
async def test_another_apps_and_another_users_session_is_not_seen_and_not_changed(service, elsewhere):
    session = await service.create_session(**S1)
    where = {**S1, **elsewhere}
    assert await service.get_session(**where) is None
    await service.delete_session(**where)
    copied = {"id": where["session_id"], "app_name": where["app_name"], "user_id": where["user_id"]}
    with pytest.raises(SessionNotFoundError):
        await service.append_event(session.model_copy(update=copied), EVENTS["a question"])
    assert (await service.get_session(**S1)).events == []


async def test_of_many_that_create_one_session_at_once_one_does(service):
    made = await asyncio.gather(*(service.create_session(**S1) for _ in range(5)), return_exceptions=True)
    assert sorted(type(each).__name__ for each in made) == ["AlreadyExistsError"] * 4 + ["Session"]


async def test_many_that_append_at_once_lose_nothing(service):
    session = await service.create_session(**S1)
    copies = [session.model_copy(deep=True) for _ in range(8)]
    await asyncio.gather(*(service.append_event(copy, event(delta={f"k{n}": n})) for n, copy in enumerate(copies)))
    found = await service.get_session(**S1)
    assert len(found.events) == 8
    assert found.state == {f"k{n}": n for n in range(8)}


@pytest.mark.parametrize("key", ["app:limit", "user:name"])
async def test_state_that_sessions_would_share_is_refused(service, key):
    with pytest.raises(chatstore.UnsupportedError, match=key):
        await service.create_session(**S1, state={key: 1})
    session = await service.create_session(**S1)
    with pytest.raises(chatstore.UnsupportedError, match=key):
        await service.append_event(session, event(delta={key: 1}))
    assert (await service.get_session(**S1)).events == session.events == []
    with pytest.raises(NotImplementedError):
        await service.get_user_state(**HERE)


async def test_bad_input_is_refused(service, chat):
    session = await service.create_session(**S1)
    for bad in (
        event(delta={"x": math.nan}),
        event(delta={"x": {1}}),
        event(text("x"), author=""),
        event(Part(function_response=FunctionResponse(name="f", response={"x": object()}))),
    ):
        with pytest.raises(chatstore.InvalidRecordError):
            await service.append_event(session, bad)
    assert (await service.get_session(**S1)).events == session.events == []
    with pytest.raises(chatstore.InvalidRecordError, match="app's name"):
        await service.create_session(app_name="", user_id="u1")
    with pytest.raises(chatstore.UnsupportedError, match="give `user_id`"):
        await service.list_sessions(app_name="support")
    with pytest.raises(chatstore.ConfigurationError, match="a str was given"):
        ChatstoreSessionService("chat")


async def test_what_the_app_appends_or_edits_is_in_the_events(service, chat):
    session = await service.create_session(**S1)
    await service.append_event(session, EVENTS["a question"])
    await chat.append("u1", "s1", chatstore.NewMessage("assistant", "From elsewhere", id="m2"))
    await chat.edit_message("u1", "s1", EVENTS["a question"].id, content="When?")
    asked, said = (await service.get_session(**S1)).events
    assert asked.content.parts == [text("When?")]
    assert (said.id, said.author, said.content.role, said.content.parts) == (
        "m2",
        "assistant",
        "model",
        [text("From elsewhere")],
    )
    await service.append_event(session, EVENTS["two texts"])
    await chat.edit_message("u1", "s1", EVENTS["two texts"].id, content="Three")
    with pytest.raises(chatstore.UnsupportedError, match="was edited"):
        await service.get_session(**S1)


class Counting(BaseAgent):
    """It says how many events it was given, and counts its turns in the state."""

    async def _run_async_impl(self, ctx):
        delta = {"turns": ctx.session.state.get("turns", 0) + 1}
        yield event(text(f"I was given {len(ctx.session.events)}"), author=self.name, delta=delta)


async def said(service, words="Hello"):
    runner = Runner(app_name="support", agent=Counting(name="counting"), session_service=service)
    message = Content(role="user", parts=[text(words)])
    answers = [each async for each in runner.run_async(user_id="u1", session_id="s1", new_message=message)]
    await runner.close()
    return answers[-1].content.parts[0].text


async def test_a_runner_remembers_at_every_stage():
    router, flags = await chat_pair()
    service = ChatstoreSessionService(router)
    await service.create_session(**S1)
    given = []
    for stage in Stage:
        flags.set(stage)
        given.append(await said(service))
    assert given == [f"I was given {2 * turns + 1}" for turns in range(len(Stage))]
    assert (await service.get_session(**S1)).state == {"turns": len(Stage)}
    await router.close()


async def test_a_service_over_blocking_stores_works(redis_database):
    with chatstore.open_blocking(load_settings(redis_url=redis_database)) as stores:
        service = ChatstoreSessionService(stores.chat)
        await service.create_session(**S1)
        assert [await said(service) for _ in range(2)] == ["I was given 1", "I was given 3"]


@pytest.mark.parametrize("name", ["hash", "langchain"])
async def test_events_are_the_same_on_both_sides_of_real_servers(redis_database, settings, namespace, name):
    flags, supabase = Flags(Stage.DUALWRITE), ServiceClient.connect(settings.supabase_url, settings.supabase_secret_key)
    where = {"app_name": "support", "user_id": namespace, "session_id": f"{namespace}-s"}
    async with connect(redis_database) as client:
        sides = Sides(RedisChat(client, chat_layout(name)), SupabaseChat(supabase))
        for side in Side:
            await sides[side].journal.forget_state()
            await sides[side].journal.remember(verified_at=utc_now(), journal_open=True)
        router = router_over(sides, flags)
        service = ChatstoreSessionService(router)
        session = await service.create_session(**where, state={"a": 1})
        for each in EVENTS.values():
            await service.append_event(session, each.model_copy(deep=True))
        await chat_repairer(sides).run()
        for side in (sides.old, sides.new):
            found = await ChatstoreSessionService(side).get_session(**where)
            assert found.events == list(EVENTS.values())
            assert found.state == {"a": 1, "topic": "orders", "n": {"deep": [1, None]}, "gone": None}
        await sides.new.journal.forget_state()
        await router.replicator.close()
        await router.shadow.close()
        await router.stages.close()
    await supabase.close()
