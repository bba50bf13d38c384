"""Any calls, in any order: a saver answers as LangGraph's own in memory does."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.memory import InMemorySaver

from chatstore.integrations.langgraph import ChatstoreSaver
from chatstore.models import Side
from chatstore.testing import MemoryChat

threads = st.sampled_from(["t", "t/langgraph"])
namespaces = st.sampled_from(["", "inner:1", "inner:1|deep:2"])
channels = st.sampled_from(["a", "b", "__interrupt__", "__error__", "__resume__"])
writes = st.lists(st.tuples(channels, st.integers(0, 9)), min_size=1, max_size=3)
steps = st.one_of(
    st.tuples(st.just("put"), threads, namespaces, st.integers(0, 3), st.integers(0, 2)),
    st.tuples(st.just("again"), st.integers(0, 9)),
    st.tuples(st.just("write"), st.integers(0, 1), writes, st.sampled_from("xy"), st.sampled_from(["", "p/1", "p"])),
    st.tuples(st.just("delete"), threads),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(steps, min_size=4, max_size=14))
def test_a_saver_answers_as_langgraphs_own(calls):
    asyncio.run(compare(calls))


async def compare(calls):
    both = [ChatstoreSaver(MemoryChat(Side.OLD), user_id="ann"), InMemorySaver()]
    put, taken = [], {}
    for number, (call, *given_) in enumerate(calls):
        if call == "put":
            thread, namespace, parent, source = given_
            earlier = taken.setdefault((thread, namespace), [])
            named = {"thread_id": thread, "checkpoint_ns": namespace}
            if parent < len(earlier):
                named["checkpoint_id"] = earlier[-1 - parent]
            checkpoint = {
                **empty_checkpoint(),
                "channel_values": {"a": number},
                "channel_versions": {"a": number},
            }
            metadata = {"source": ["input", "loop", "fork"][source], "step": number, "parents": {}}
            put.append(({"configurable": named}, checkpoint, metadata, {"a": number}))
            earlier.append(checkpoint["id"])
            for saver in both:
                await saver.aput(*put[-1])
        elif call == "delete":
            put = [one for one in put if one[0]["configurable"]["thread_id"] != given_[0]]
            for saver in both:
                await saver.adelete_thread(given_[0])
        elif put:
            config, checkpoint, *_ = one = put[given_[0] % len(put)]
            for saver in both:
                if call == "again":
                    await saver.aput(*one)
                else:
                    named = {**config["configurable"], "checkpoint_id": checkpoint["id"]}
                    await saver.aput_writes({"configurable": named}, given_[1], given_[2], given_[3])
    await agree(both, put)


async def agree(both, put):
    asked = [{"configurable": {"thread_id": thread}} for thread in ("t", "t/langgraph")]
    asked += [{"configurable": {**config["configurable"], "checkpoint_id": None}} for config, *_ in put]
    asked += [{"configurable": {**config["configurable"], "checkpoint_id": each["id"]}} for config, each, *_ in put]
    for config in asked:
        ours, theirs = [await saver.aget_tuple(config) for saver in both]
        assert plain(ours) == plain(theirs)
        for options in ({}, {"limit": 2}, {"filter": {"source": "loop"}}, {"before": asked[-1]}):
            if "limit" in options and config["configurable"].get("checkpoint_ns") is None:
                continue  # which namespace comes first is nobody's promise
            ours, theirs = [[plain(found) async for found in saver.alist(config, **options)] for saver in both]
            assert by_namespace(ours) == by_namespace(theirs)


def plain(found):
    if found is None:
        return None
    names = ("thread_id", "checkpoint_ns", "checkpoint_id")
    configs = [
        None if config is None else [config["configurable"].get(name, "") for name in names]
        for config in (found.config, found.parent_config)
    ]
    return (configs, found.checkpoint, found.metadata, found.pending_writes)


def by_namespace(found):
    return {name: [one for one in found if one[0][0][1] == name] for name in {one[0][0][1] for one in found}}
