"""What the flag provider is told of calls, how much of it, and that no call feels whatever the provider does with it."""

import asyncio
import contextvars
import threading
import time
from contextlib import AsyncExitStack

import pytest
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider
from openfeature.transaction_context import (
    ContextVarsTransactionContextPropagator,
    clear_transaction_context_propagator,
    set_transaction_context,
    set_transaction_context_propagator,
)

from chatstore.errors import ConfigurationError, NotFoundError, UnavailableError
from chatstore.models import Kind, NewMessage, Side, Stage
from chatstore.routing import FLAGS, ChatRouter, Sides, Tracking, chat_replicator
from chatstore.routing.flags.opening import open_flags
from tests.routing.flags.services import Service, until
from tests.routing.pair import BreakableChat, verified

ALL = Tracking(share=1.0, per_second=1000)


class World:
    """A chat router whose calls are told to a service; its shadow reads look again at once."""

    def __init__(self, service, router):
        self.service, self.router = service, router

    async def told(self, name, count=1):
        """The events of a name, once there are so many."""
        await self.router.replicator.drain()
        await self.router.shadow.drain()
        await until(lambda: len(self.of(name)) >= count)
        return self.of(name)

    def of(self, name):
        return [
            (context, details.value, details.attributes)
            for event, context, details in list(self.service.tracked)
            if event == name
        ]


@pytest.fixture
async def opened():
    """Makes worlds, and closes them."""
    async with AsyncExitStack() as stack:

        async def open_one(stage=Stage.OFF, tracking=ALL, service=None):
            service = (service or Service(stage)).provide()
            sides = Sides(BreakableChat(Side.OLD), BreakableChat(Side.NEW))
            await verified(sides)
            flags = await stack.enter_async_context(open_flags(service.domain, None, tracking=tracking))
            shadow = flags.shadow(Kind.CHAT)
            shadow._pause = 0.01
            router = ChatRouter(
                sides,
                flags.resolver(Kind.CHAT, sides, configured=Stage.OFF),
                replicator=chat_replicator(sides, on_put=flags.on_put(Kind.CHAT)),
                shadow=shadow,
            )
            stack.push_async_callback(router.close)
            return World(service, router)

        yield open_one


async def test_without_being_asked_for_nothing_is_tracked(opened):
    world = await opened(Stage.SHADOW, tracking=False)
    session = await world.router.create_session("u")
    await world.router.get_session("u", session.id)
    await world.router.replicator.drain()
    await world.router.shadow.drain()
    assert world.service.tracked == []
    assert not any(thread.name == "chatstore-tracking" for thread in threading.enumerate())


@pytest.mark.parametrize("stage", list(Stage))
async def test_a_call_is_told_with_its_stage_its_side_and_how_long_it_took(opened, stage):
    world = await opened(stage)
    session = await world.router.create_session("u")
    await world.router.append("u", session.id, NewMessage("user", "a secret"))
    await world.router.messages("u", session.id)
    events = await world.told("chatstore.call", 3)
    assert [attributes["operation"] for _, _, attributes in events] == ["create", "append", "messages"]
    for context, value, attributes in events:
        assert context.targeting_key == "u"
        assert 0 < value < 60_000
        side = "new" if stage in (Stage.LIVE, Stage.RAMPDOWN, Stage.COMPLETE) else "old"
        assert {name: attributes[name] for name in ("kind", "stage", "side", "outcome")} == {
            "kind": "chat",
            "stage": stage.value,
            "side": side,
            "outcome": "ok",
        }
    assert "secret" not in str(events)
    assert session.id not in str(events)


async def test_a_call_that_fails_is_told_with_the_errors_name_and_fails_as_before(opened):
    world = await opened()
    with pytest.raises(NotFoundError):
        await world.router.get_session("u", "none")
    [(_, _, attributes)] = await world.told("chatstore.call")
    assert attributes["outcome"] == "NotFoundError"


async def test_a_shadow_read_is_told_with_how_long_both_sides_took(opened):
    world = await opened(Stage.SHADOW)
    session = await world.router.create_session("u")
    await world.router.replicator.drain()

    async def late(read=world.router.sides.new.get_session):
        await asyncio.sleep(0.05)
        return await read("u", session.id)

    world.router.sides.new.get_session = lambda *_: late()
    await world.router.get_session("u", session.id)
    [(context, value, attributes)] = await world.told("chatstore.compared")
    assert context.targeting_key == "u"
    assert (attributes["operation"], attributes["outcome"]) == ("get_session", "equal")
    assert value == attributes["other_ms"] >= 50
    assert 0 < attributes["served_ms"] < attributes["other_ms"]


async def test_a_mismatch_is_told_whatever_the_share_and_without_content(opened):
    world = await opened(Stage.SHADOW, tracking=Tracking(share=0.0))
    session = await world.router.create_session("u", title="a secret")
    await world.router.replicator.drain()
    await world.router.sides.new.update_session("u", session.id, title="another secret")
    await world.router.get_session("u", session.id)
    [(context, value, attributes)] = await world.told("chatstore.mismatch")
    assert (context.targeting_key, value, attributes["operation"]) == ("u", None, "get_session")
    assert "title" in attributes["detail"]
    assert "secret" not in attributes["detail"]
    assert {name for name, _, _ in world.service.tracked} == {"chatstore.mismatch"}


async def test_a_shadow_read_that_fails_is_told_without_a_time(opened):
    world = await opened(Stage.SHADOW)
    session = await world.router.create_session("u")
    await world.router.replicator.drain()

    async def away(*_):
        raise UnavailableError("away")

    world.router.sides.new.get_session = away
    await world.router.get_session("u", session.id)
    [(_, value, attributes)] = await world.told("chatstore.compared")
    assert (value, attributes["outcome"], "other_ms" in attributes) == (None, "failed", False)


async def test_writes_to_the_second_side_are_told_as_batches(opened):
    world = await opened(Stage.DUALWRITE)
    await asyncio.gather(*(world.router.create_session("u") for _ in range(5)))
    events = await world.told("chatstore.second")
    assert sum(attributes["writes"] for _, _, attributes in events) == 5
    assert {(attributes["side"], attributes["outcome"]) for _, _, attributes in events} == {("new", "ok")}
    assert all(context.targeting_key is None for context, _, _ in events)
    world.router.sides.new.broken = True
    await world.router.create_session("u")
    [*_, (_, _, attributes)] = await world.told("chatstore.second", len(events) + 1)
    assert attributes["outcome"] == "UnavailableError"


async def test_a_share_of_the_calls_is_told(opened):
    world = await opened(tracking=Tracking(share=0.2, per_second=10_000))
    for _ in range(1000):
        await world.router.list_sessions("u")
    await world.told("chatstore.call")
    await asyncio.sleep(0.1)
    assert 100 < len(world.of("chatstore.call")) < 320


async def test_no_more_are_told_than_so_many_a_second(opened):
    world = await opened(tracking=Tracking(share=1.0, per_second=5))
    began = time.monotonic()
    for _ in range(200):
        await world.router.list_sessions("u")
    seconds = time.monotonic() - began
    await world.told("chatstore.call", 5)
    await asyncio.sleep(0.1)
    assert 5 <= len(world.of("chatstore.call")) <= 5 * (1 + int(seconds) + 1)
    assert world.router.stages.tracker.dropped == 200 - len(world.of("chatstore.call"))


class _Hangs(Service):
    def __init__(self, stage):
        super().__init__(stage)
        self.over = threading.Event()

    def track(self, *event):
        self.over.wait()
        super().track(*event)


async def test_a_provider_that_hangs_in_tracking_holds_up_no_call_and_what_waits_is_bounded(opened, caplog):
    service = _Hangs(Stage.OFF)
    world = await opened(tracking=Tracking(share=1.0, per_second=100_000), service=service)
    began = time.monotonic()
    for _ in range(1500):
        await world.router.list_sessions("u")
    assert time.monotonic() - began < 10
    assert "slower to track" in caplog.text
    service.over.set()
    await world.told("chatstore.call", 1000)
    assert len(world.of("chatstore.call")) <= 1002


async def test_closing_waits_for_a_provider_that_hangs_in_tracking_for_a_while_only(monkeypatch, caplog):
    monkeypatch.setattr("chatstore.routing.aside._ENDS_WITHIN", 0.1)
    service = _Hangs(Stage.OFF).provide()
    began = time.monotonic()
    async with open_flags(service.domain, None, tracking=ALL) as flags:
        for _ in range(3):
            flags.trackers[Kind.CHAT].tell("chatstore.call", "u", 1.0)
    assert time.monotonic() - began < 5
    assert "does not track in time" in caplog.text
    service.over.set()


async def test_closing_sends_what_waits():
    service = Service().provide()
    async with open_flags(service.domain, None, tracking=ALL) as flags:
        for number in range(100):
            flags.trackers[Kind.DOCUMENTS].tell("chatstore.call", "u", float(number))
    assert [details.value for _, _, details in service.tracked] == [float(number) for number in range(100)]


async def test_a_provider_that_fails_to_track_is_told_once_and_fails_no_call(opened, caplog):
    class Fails(Service):
        def track(self, *event):
            super().track(*event)
            raise RuntimeError("no room")

    world = await opened(service=Fails(Stage.OFF))
    for _ in range(3):
        await world.router.list_sessions("u")
    await world.told("chatstore.call", 3)
    await until(lambda: "could not be tracked" in caplog.text)
    assert caplog.text.count("could not be tracked") == 1


async def test_a_provider_that_does_not_track_changes_nothing(opened):
    class Deaf(Service):
        track = None

    world = await opened(service=Deaf(Stage.OFF))
    assert (await world.router.list_sessions("u")).items == ()


@pytest.fixture
def transaction_contexts():
    set_transaction_context_propagator(ContextVarsTransactionContextPropagator())
    yield
    clear_transaction_context_propagator()


async def test_an_event_has_the_context_of_its_call(opened, transaction_contexts):
    world = await opened()

    async def request(number):
        set_transaction_context(EvaluationContext(attributes={"request": number}))
        await world.router.list_sessions(f"u{number}")

    await asyncio.gather(*(asyncio.create_task(request(n), context=contextvars.copy_context()) for n in range(3)))
    events = await world.told("chatstore.call", 3)
    assert sorted((context.targeting_key, context.attributes["request"]) for context, _, _ in events) == [
        ("u0", 0),
        ("u1", 1),
        ("u2", 2),
    ]
    assert [context.attributes["request"] for context in world.service.asked] == [0, 1, 2]


@pytest.mark.parametrize("wrong", [{"share": -0.1}, {"share": 1.1}, {"share": float("nan")}, {"per_second": 0}])
def test_what_is_no_share_or_rate_is_refused(wrong):
    with pytest.raises(ConfigurationError, match="give"):
        Tracking(**wrong)


async def test_the_in_memory_provider_of_openfeature_keeps_the_events():
    provider = InMemoryProvider({FLAGS[Kind.CHAT]: InMemoryFlag("off", {"off": "off"})})
    api.set_provider_and_wait(provider, "test-in-memory-tracking")
    async with open_flags("test-in-memory-tracking", None, tracking=ALL) as flags:
        flags.trackers[Kind.CHAT].tell("chatstore.call", "u", 2.5, stage="off")
    event = provider._tracking_events["chatstore.call"]
    assert (event.value, event.details) == (2.5, {"kind": "chat", "stage": "off"})
