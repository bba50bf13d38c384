"""An agent with a model of the test's remembers what was said, from turn to turn and from stage to stage."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from agents import Agent, Model, ModelResponse, RunConfig, Runner, Usage, function_tool
from agents.memory import SessionSettings
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText

import chatstore
from chatstore.identity import UserToken
from chatstore.integrations.openai_agents import ChatstoreSession
from chatstore.models import Side, Stage
from chatstore.settings import load_settings
from chatstore.testing import MemoryChat

QUIET = RunConfig(tracing_disabled=True)


class Parrot(Model):
    """It calls the tool `order` at the word "order", and else says how many items it was given."""

    async def get_response(self, *args, **kwargs):
        given = args[1] if len(args) > 1 else kwargs["input"]
        last = given[-1]
        if last.get("role") == "user" and "order" in last["content"]:
            call = ResponseFunctionToolCall(
                arguments='{"number": 17}', call_id=f"call_{len(given)}", name="order", type="function_call"
            )
            return ModelResponse(output=[call], usage=Usage(), response_id=None)
        text = last["output"] if last.get("type") == "function_call_output" else f"I was given {len(given)}"
        part = ResponseOutputText(annotations=[], text=text, type="output_text")
        said = ResponseOutputMessage(
            id="__fake_id__", content=[part], role="assistant", status="completed", type="message"
        )
        return ModelResponse(output=[said], usage=Usage(), response_id=None)

    def stream_response(self, *args, **kwargs):
        raise NotImplementedError


@function_tool
def order(number: int) -> str:
    return f"the order {number} left at nine"


@pytest.fixture
def agent():
    return Agent(name="Assistant", model=Parrot(), tools=[order])


async def test_a_run_remembers_from_turn_to_turn(agent):
    session = ChatstoreSession("s1", chat=MemoryChat(Side.OLD), user_id="u1")
    first = await Runner.run(agent, "Where is my order?", session=session, run_config=QUIET)
    assert first.final_output == "the order 17 left at nine"
    second = await Runner.run(agent, "And then?", session=session, run_config=QUIET)
    assert second.final_output == "I was given 5"
    assert await session.get_items() == second.to_input_list()
    limited = RunConfig(tracing_disabled=True, session_settings=SessionSettings(limit=2))
    third = await Runner.run(agent, "Still there?", session=session, run_config=limited)
    assert third.final_output == "I was given 3"


async def test_a_run_remembers_from_stage_to_stage(agent, chat, flags, namespace):
    given = []
    for stage in Stage:
        flags.set(stage)
        session = ChatstoreSession(f"{namespace}-s", chat=chat, user_id=namespace)
        given.append((await Runner.run(agent, "Hello", session=session, run_config=QUIET)).final_output)
    assert given == [f"I was given {2 * turns + 1}" for turns in range(len(Stage))]


def test_a_blocking_run_remembers(agent, redis_database):
    def turns(stores):
        # `Runner.run_sync` takes the loop of its thread, and ends all that is open there.
        with asyncio.Runner() as runner:
            asyncio.set_event_loop(runner.get_loop())
            session = ChatstoreSession("s1", chat=stores.chat, user_id="u1")
            return [Runner.run_sync(agent, "Hello", session=session, run_config=QUIET).final_output for _ in range(2)]

    with chatstore.open_blocking(load_settings(redis_url=redis_database)) as stores, ThreadPoolExecutor() as threads:
        assert threads.submit(turns, stores).result() == ["I was given 1", "I was given 3"]


async def test_a_user_by_token_has_sessions_of_their_own(agent, settings, token_for, namespace):
    given = load_settings(supabase_url=settings.supabase_url, supabase_secret_key=settings.supabase_secret_key)
    given = given.model_copy(update={"redis_url": None, "chroma_url": None, "chroma_path": None})
    async with chatstore.open(given) as stores:
        ana, ben = (UserToken.verified_elsewhere(token_for(f"{namespace}-{name}")) for name in ("ana", "ben"))
        mine = (await stores.for_user(ana)).chat
        session = ChatstoreSession(f"{namespace}-s", chat=mine)
        for turns in range(2):
            result = await Runner.run(agent, "Hello", session=session, run_config=QUIET)
            assert result.final_output == f"I was given {2 * turns + 1}"
        theirs = ChatstoreSession(f"{namespace}-s", chat=(await stores.for_user(ben)).chat)
        assert await theirs.get_items() == []
        with pytest.raises(chatstore.ConfigurationError, match="leave out `user_id`"):
            ChatstoreSession("s1", chat=mine, user_id="u1")
