"""LangGraph's store over documents: what its own store in memory does, and what differs."""

import dataclasses
from contextlib import asynccontextmanager

import pytest
from langgraph.config import get_store
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.store.base import GetOp, InvalidNamespaceError, PutOp, SearchOp
from langgraph.store.memory import InMemoryStore

import chatstore
from chatstore.errors import ConfigurationError, InvalidRecordError, UnsupportedError
from chatstore.identity import UserToken
from chatstore.integrations.langgraph import ChatstoreStore
from chatstore.interfaces import UserDocuments
from chatstore.local import user_token
from chatstore.models import Side
from chatstore.settings import load_settings
from chatstore.sync import BlockingStores
from chatstore.testing import MemoryDocuments

ANN, BEN = "ann", "ben"
WORDS = ("tea", "coffee", "cat")
TEAS = ("memories", "drinks")
PETS = ("memories", "pets")


async def embed(texts):
    """How often a text says each of some words."""
    return [chatstore.Embedding.of([1 / 8, *(text.count(word) for word in WORDS)]) for text in texts]


@pytest.fixture
def documents():
    memory = MemoryDocuments(Side.OLD)
    memory.embedder = embed
    return memory


@pytest.fixture
def blocking(documents):
    @asynccontextmanager
    async def opened():
        yield dataclasses.make_dataclass("Opened", ["documents"])(documents)

    with BlockingStores(opened) as stores:
        yield stores.documents


def by_embed(texts):
    return [[1 / 8, *(text.count(word) for word in WORDS)] for text in texts]


@pytest.fixture(params=["chatstore", "langgraph"])
def store(request, documents):
    """What holds for both is LangGraph's, and no idea of ours."""
    if request.param == "langgraph":
        return InMemoryStore(index={"dims": 4, "embed": by_embed})
    return ChatstoreStore(documents, user_id=ANN)


async def fill(store):
    await store.aput(TEAS, "a", {"text": "green tea", "rating": 5, "hot": True})
    await store.aput(TEAS, "b", {"text": "black coffee", "rating": 3, "hot": True})
    await store.aput(PETS, "a", {"text": "a cat", "tags": ["soft", {"n": None}]})
    await store.aput(("other",), "a", {"text": "tea tea"})


def keys(found):
    return {(item.namespace, item.key) for item in found}


async def test_an_item_is_there_until_it_is_deleted(store):
    await fill(store)
    item = await store.aget(PETS, "a")
    assert (item.namespace, item.key) == (PETS, "a")
    assert item.value == {"text": "a cat", "tags": ["soft", {"n": None}]}
    await store.aput(PETS, "a", {"text": "two cats"})
    assert (await store.aget(PETS, "a")).value == {"text": "two cats"}
    await store.adelete(PETS, "a")
    await store.adelete(PETS, "a")
    assert await store.aget(PETS, "a") is None
    assert (await store.aget(TEAS, "a")).value["rating"] == 5


@pytest.mark.parametrize(
    ("prefix", "wanted", "found"),
    [
        (("memories",), None, {(TEAS, "a"), (TEAS, "b"), (PETS, "a")}),
        ((), {"text": "tea tea"}, {(("other",), "a")}),
        (("memories",), {"rating": 5}, {(TEAS, "a")}),
        (TEAS, {"rating": {"$gte": 3, "$lt": 5}}, {(TEAS, "b")}),
        (TEAS, {"hot": True, "rating": {"$ne": 3}}, {(TEAS, "a")}),
        (("memories",), {"rating": {"$ne": 3}}, {(TEAS, "a"), (PETS, "a")}),
        (("memory",), None, set()),
        (("drinks",), None, set()),
    ],
)
@pytest.mark.parametrize("query", [None, "tea"])
async def test_a_search_finds_what_fits(store, prefix, wanted, found, query):
    await fill(store)
    assert keys(await store.asearch(prefix, filter=wanted, query=query)) == found


async def test_a_query_finds_what_is_most_alike_first(store):
    await fill(store)
    found = await store.asearch(("memories",), query="coffee", limit=2)
    assert found[0].key == "b"
    assert found[0].score > found[1].score
    following = await store.asearch(("memories",), query="coffee", limit=2, offset=1)
    assert following[0].value == found[1].value
    assert await store.asearch(("memories",), query="coffee", limit=0) == []


async def test_pages_follow_one_another(store):
    await fill(store)
    pages = [await store.asearch(("memories",), limit=2, offset=offset) for offset in (0, 2, 4)]
    assert [len(page) for page in pages] == [2, 1, 0]
    assert len(keys([*pages[0], *pages[1]])) == 3


async def test_what_is_embedded_may_be_a_part(documents):
    store = ChatstoreStore(documents, user_id=ANN, fields=["text", "notes[*].said"])
    await store.aput(TEAS, "a", {"text": "hot", "notes": [{"said": "tea"}, {"said": "tea"}], "cat": "cat"})
    await store.aput(TEAS, "b", {"text": "cat", "cat": "tea"}, index=["cat"])
    assert sorted(document.text for document in (await documents.list_documents(ANN)).items) == ["hot\ntea\ntea", "tea"]


async def test_what_is_not_indexed_is_found_without_a_query_alone(documents):
    store = ChatstoreStore(documents, user_id=ANN)
    await store.aput(TEAS, "a", {"text": "tea"}, index=False)
    assert await store.asearch(TEAS, query="tea") == []
    assert len(await store.asearch(TEAS)) == 1
    assert (await store.aget(TEAS, "a")).value == {"text": "tea"}


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"prefix": ("memories",)},
        {"suffix": ("pets",)},
        {"prefix": ("*", "pets")},
        {"max_depth": 1},
        {"limit": 1, "offset": 1},
        {"prefix": ("memories", "pets", "cats")},
    ],
)
async def test_namespaces_are_listed_as_by_langgraph(documents, asked):
    ours, theirs = ChatstoreStore(documents, user_id=ANN), InMemoryStore()
    for each in (ours, theirs):
        await fill(each)
    assert await ours.alist_namespaces(**asked) == await theirs.alist_namespaces(**asked)


async def test_in_a_batch_what_reads_comes_first_and_the_last_write_stays(store):
    await fill(store)
    results = await store.abatch(
        [
            PutOp(TEAS, "a", {"text": "one"}),
            GetOp(TEAS, "a"),
            PutOp(TEAS, "a", {"text": "two"}),
            PutOp(TEAS, "b", None),
            SearchOp(("other",)),
            GetOp(TEAS, "none"),
        ]
    )
    assert results[1].value["text"] == "green tea"
    assert keys(results[4]) == {(("other",), "a")}
    assert [results[place] for place in (0, 2, 3, 5)] == [None] * 4
    assert (await store.aget(TEAS, "a")).value == {"text": "two"}
    assert await store.aget(TEAS, "b") is None


async def test_all_that_a_batch_gets_is_asked_for_in_one_call(documents, monkeypatch):
    store = ChatstoreStore(documents, user_id=ANN)
    for name in ("a", "b"):
        await store.aput(TEAS, name, {"text": name})
    calls, read = [], documents.get_each

    async def counted(user_id, ids):
        calls.append(len(ids))
        return await read(user_id, ids)

    monkeypatch.setattr(documents, "get_each", counted)
    results = await store.abatch([GetOp(TEAS, name) for name in ("b", "none", "a", "b")])
    assert [result and result.value["text"] for result in results] == ["b", None, "a", "b"]
    assert calls == [3]


async def test_no_user_sees_anothers_items(documents):
    ann, ben = (ChatstoreStore(documents, user_id=user) for user in (ANN, BEN))
    await ann.aput(TEAS, "a", {"text": "tea"})
    assert await ben.aget(TEAS, "a") is None
    assert await ben.asearch((), query="tea") == []
    assert await ben.alist_namespaces() == []
    await ben.aput(TEAS, "a", {"text": "coffee"})
    await ben.adelete(TEAS, "a")
    assert (await ann.aget(TEAS, "a")).value == {"text": "tea"}


async def test_the_apps_own_documents_are_no_items(documents):
    await documents.upsert(ANN, chatstore.NewDocument("tea", metadata={"langgraph": "no"}))
    store = ChatstoreStore(documents, user_id=ANN)
    assert await store.asearch(()) == []
    assert await store.asearch((), query="tea") == []
    assert await store.alist_namespaces() == []


async def test_a_token_says_whose_items_they_are(documents):
    token = UserToken.verified_elsewhere(user_token("a secret of this test's, long enough", ANN))
    store = ChatstoreStore(UserDocuments(documents, token))
    await store.aput(TEAS, "a", {"text": "tea"})
    assert (await ChatstoreStore(documents, user_id=ANN).aget(TEAS, "a")).value == {"text": "tea"}
    for given in ((documents, None), (UserDocuments(documents, token), ANN)):
        with pytest.raises(ConfigurationError):
            ChatstoreStore(given[0], user_id=given[1])


async def test_what_cannot_be_asked_is_refused(documents):
    store = ChatstoreStore(documents, user_id=ANN)
    for wanted in ({"tags": ["soft"]}, {"a": None}, {"a": {"b": 1}}, {"a": {"$in": [1]}}, {"a": {}}):
        for query in (None, "tea"):
            with pytest.raises(UnsupportedError, match="filter"):
                await store.asearch((), filter=wanted, query=query)
    for value in ({"a": float("nan")}, {"a": object()}, {"\ud800": 1}, {1: 1}):
        with pytest.raises(InvalidRecordError):
            await store.aput(TEAS, "a", value)
    with pytest.raises(InvalidNamespaceError):
        await store.aput(("langgraph",), "a", {})
    with pytest.raises(NotImplementedError):
        await store.aput(TEAS, "a", {}, ttl=1)
    with pytest.raises(ConfigurationError, match="list"):
        ChatstoreStore(documents, user_id=ANN, fields="text")
    documents.embedder = None
    with pytest.raises(ConfigurationError, match="embedder"):
        await store.aput(TEAS, "a", {"text": "tea"})


async def test_nodes_reach_it_by_the_graph(documents):
    async def remember(state):
        await get_store().aput(("said",), "last", {"text": state["messages"][-1].content})
        return {}

    builder = StateGraph(MessagesState)
    builder.add_node("remember", remember)
    builder.add_edge(START, "remember")
    store = ChatstoreStore(documents, user_id=ANN)
    await builder.compile(store=store).ainvoke({"messages": [("user", "tea, please")]})
    assert (await store.aget(("said",), "last")).value == {"text": "tea, please"}


def test_blocking_callers_have_it_too(blocking):
    store = ChatstoreStore(blocking, user_id=ANN)
    store.put(TEAS, "a", {"text": "tea"})
    assert store.get(TEAS, "a").value == {"text": "tea"}
    assert keys(store.search(TEAS, query="tea")) == {(TEAS, "a")}
    assert store.list_namespaces() == [TEAS]
    store.delete(TEAS, "a")
    assert store.search(()) == []


async def test_it_is_kept_by_real_servers(redis_database, chroma_url, namespace):
    for given in (load_settings(redis_url=redis_database), load_settings(chroma_url=chroma_url)):
        async with chatstore.open(given, embedder=embed) as stores:
            store = ChatstoreStore(stores.documents, user_id=f"{namespace}-{ANN}")
            await fill(store)
            await fill(store)
            assert (await store.aget(PETS, "a")).value == {"text": "a cat", "tags": ["soft", {"n": None}]}
            found = await store.asearch(("memories",), query="tea", filter={"rating": {"$gt": 3}, "hot": True})
            assert keys(found) == {(TEAS, "a")}
            assert keys(await store.asearch(("memories",))) == {(TEAS, "a"), (TEAS, "b"), (PETS, "a")}
            assert await store.alist_namespaces(prefix=("memories",)) == [TEAS, PETS]
            await store.adelete(PETS, "a")
            assert await store.aget(PETS, "a") is None
