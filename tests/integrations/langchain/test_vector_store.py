"""The vector store for LangChain, over stores in memory: what LangChain's own tests do not ask for."""

import asyncio
import math
from datetime import UTC, datetime

import pytest
from langchain_core.documents import Document
from langchain_core.indexing import InMemoryRecordManager, aindex, index

from chatstore.errors import ConfigurationError, ConflictError, InvalidRecordError, UnavailableError, UnsupportedError
from chatstore.identity import UserToken
from chatstore.integrations.langchain import ChatstoreVectorStore
from chatstore.interfaces import UserDocuments
from chatstore.models import Embedding, NewDocument, Side
from chatstore.testing import MemoryDocuments
from tests.integrations.langchain.embedding import Words

USER = "user-1"
TEXTS = ["green tea", "black tea", "green green tea", "coffee"]
METADATAS = [
    {"kind": "tea", "year": 2020, "title": "Green"},
    {"kind": "tea", "year": 2021, "title": "Black"},
    {"kind": "tea", "year": 2022, "title": "Greener"},
    {"kind": "coffee", "year": 2023, "title": "Coffee"},
]
IDS = ["a", "b", "c", "d"]


@pytest.fixture
def store():
    return MemoryDocuments(Side.OLD)


@pytest.fixture
async def vectors(store):
    return await ChatstoreVectorStore.afrom_texts(TEXTS, Words(), METADATAS, ids=IDS, store=store, user_id=USER)


@pytest.fixture
def blocking_vectors(blocking):
    return ChatstoreVectorStore.from_texts(TEXTS, Words(), METADATAS, ids=IDS, store=blocking.documents, user_id=USER)


def ids(documents):
    return [document.id for document in documents]


FILTERS = [
    (None, ["a", "c", "b", "d"]),
    ({"kind": "coffee"}, ["d"]),
    ({"year": {"$gte": 2021}}, ["c", "b", "d"]),
    ({"$or": [{"title": "Greener"}, {"year": 2021}]}, ["c", "b"]),
    ({"$and": [{"kind": "tea"}, {"year": {"$in": [2020, 2023]}}]}, ["a"]),
]


@pytest.mark.parametrize(("where", "found"), FILTERS)
async def test_filters_are_chromas(vectors, blocking_vectors, where, found):
    assert ids(await vectors.asimilarity_search("green tea", 4, where)) == found
    assert ids(await asyncio.to_thread(blocking_vectors.similarity_search, "green tea", k=4, filter=where)) == found
    by_vector = await vectors.asimilarity_search_by_vector([1, 0, 1, 0], filter=where)
    assert ids(by_vector) == found


def test_a_score_is_a_cosine_distance(blocking_vectors):
    scored = blocking_vectors.similarity_search_with_score("green tea")
    assert [document.id for document, _ in scored] == ["a", "c", "b", "d"]
    assert [score for _, score in scored] == pytest.approx([0, 1 - 3 / math.sqrt(10), 0.5, 1])


async def test_a_retriever_searches_by_likeness_by_a_threshold_and_for_what_differs(vectors):
    search = {"score_threshold": 0.6, "k": 4}
    alike = vectors.as_retriever(search_kwargs={"k": 2, "filter": {"kind": "tea"}})
    near = vectors.as_retriever(search_type="similarity_score_threshold", search_kwargs=search)
    diverse = vectors.as_retriever(search_type="mmr", search_kwargs={"k": 2, "lambda_mult": 0.3})
    assert ids(await alike.ainvoke("green tea")) == ["a", "c"]
    assert ids(await near.ainvoke("green tea")) == ["a", "c"]
    # The second one is not that which is most alike to the first.
    assert ids(await diverse.ainvoke("green tea")) == ["a", "d"]


def test_a_blocking_retriever_does_the_same(blocking_vectors):
    search = {"score_threshold": 0.6, "k": 4}
    near = blocking_vectors.as_retriever(search_type="similarity_score_threshold", search_kwargs=search)
    diverse = blocking_vectors.as_retriever(search_type="mmr", search_kwargs={"k": 2, "lambda_mult": 0.3})
    assert ids(near.invoke("green tea")) == ["a", "c"]
    assert ids(diverse.invoke("green tea")) == ["a", "d"]
    assert ids(blocking_vectors.max_marginal_relevance_search("green tea", 2, 3, 0.3)) == ["a", "b"]


def test_relevance_is_from_0_to_1_also_of_what_is_opposite(blocking):
    vectors = ChatstoreVectorStore(Words(), store=blocking.documents, user_id=USER)
    blocking.documents.upsert(USER, NewDocument("anti", embedding=Embedding.of([-1, 0, -1, 0])))
    [(_, relevance)] = vectors.similarity_search_with_relevance_scores("green tea")
    assert relevance == 0


async def test_metadata_come_back_as_they_were_and_are_nobody_elses(store):
    metadata = {"title": "", "nested": {"a": [1, 2.5, None, {"b": True}]}, "url": 5, "none": None}
    vectors = ChatstoreVectorStore(Words(), store=store, user_id=USER)
    [name] = await vectors.aadd_documents([Document("green tea", metadata=metadata)])
    [first] = await vectors.aget_by_ids([name])
    assert first.metadata == metadata
    first.metadata["nested"]["a"].append("changed")
    metadata["nested"]["a"].append("changed, too")
    [again] = await vectors.aget_by_ids([name])
    assert again.metadata["nested"] == {"a": [1, 2.5, None, {"b": True}]}


async def test_a_title_and_a_url_of_chatstores_are_metadata_of_langchains(store):
    vectors = ChatstoreVectorStore(Words(), store=store, user_id=USER)
    await store.upsert(
        USER, NewDocument("green tea", id="a", embedding=Embedding.of([1, 0, 1, 0]), title="Tea", url="https://tea")
    )
    [found] = await vectors.asimilarity_search("tea", filter={"title": "Tea"})
    assert found == Document("green tea", id="a", metadata={"title": "Tea", "url": "https://tea"})
    await vectors.aadd_documents([found])
    written = await store.get(USER, "a")
    assert (written.title, written.url) == ("Tea", "https://tea")


async def test_documents_come_in_the_order_of_the_ids_and_once(vectors):
    assert ids(await vectors.aget_by_ids(["c", "no such", "a", "c"])) == ["c", "a"]
    assert await vectors.aget_by_ids([]) == []


async def test_users_do_not_see_each_others_documents(vectors, store):
    others = ChatstoreVectorStore(Words(), store=store, user_id="user-2")
    assert await others.asimilarity_search("green tea") == []
    assert await others.aget_by_ids(IDS) == []
    await others.adelete(IDS)
    with pytest.raises(ConflictError):
        await others.aadd_texts(["mine"], ids=["a"])
    assert len(await vectors.aget_by_ids(IDS)) == 4


async def test_a_users_own_documents_need_no_user_id(store, token_for):
    own = UserDocuments(store, UserToken.verified_elsewhere(token_for(USER)))
    vectors = ChatstoreVectorStore(Words(), store=own)
    [name] = await vectors.aadd_texts(["green tea"])
    assert (await store.get(USER, name)).text == "green tea"
    assert ids(await vectors.aget_by_ids([name])) == [name]
    with pytest.raises(ConfigurationError, match="leave out"):
        ChatstoreVectorStore(Words(), store=own, user_id=USER)


def test_a_blocking_users_own_documents_need_no_user_id(blocking, token_for):
    own = blocking.for_user(UserToken.verified_elsewhere(token_for(USER))).documents
    [name] = ChatstoreVectorStore(Words(), store=own).add_texts(["green tea"])
    assert blocking.documents.get(USER, name).text == "green tea"


def test_a_vector_store_has_a_user(store):
    with pytest.raises(ConfigurationError, match="user_id"):
        ChatstoreVectorStore(Words(), store=store)
    with pytest.raises(InvalidRecordError, match="user id"):
        ChatstoreVectorStore(Words(), store=store, user_id="")


async def test_without_embeddings_of_langchains_the_stores_embedder_makes_them(store):
    async def embedder(texts):
        return [Embedding.of(vector) for vector in Words().embed_documents(texts)]

    vectors = ChatstoreVectorStore(store=store, user_id=USER)
    with pytest.raises(ConfigurationError, match="no embedder"):
        await vectors.aadd_texts(["green tea"])
    store.embedder = embedder
    await vectors.aadd_texts(TEXTS, METADATAS, ids=IDS)
    assert ids(await vectors.asimilarity_search("coffee", 1)) == ["d"]
    assert vectors.embeddings is None
    with pytest.raises(ConfigurationError, match="embedding"):
        await vectors.amax_marginal_relevance_search("coffee")


async def test_batches_are_embedded_and_written_one_by_one(store, blocking):
    words = Words()
    vectors = ChatstoreVectorStore(words, store=store, user_id=USER)
    assert await vectors.aadd_texts(TEXTS, ids=IDS, batch_size=3) == IDS
    assert words.asked == [3, 1]
    more = ChatstoreVectorStore(words, store=blocking.documents, user_id=USER)
    assert await asyncio.to_thread(more.add_texts, iter(TEXTS), ids=IDS, batch_size=2) == IDS
    assert words.asked == [3, 1, 2, 2]
    assert ids(await more.aget_by_ids(IDS)) == IDS
    assert await vectors.aadd_texts([]) == []
    with pytest.raises(ValueError, match="batch_size"):
        await vectors.aadd_texts(TEXTS, batch_size=0)


def test_langchains_indexing_api_writes_and_cleans_up(blocking):
    vectors = ChatstoreVectorStore(Words(), store=blocking.documents, user_id=USER)
    records = InMemoryRecordManager("tea")
    records.create_schema()
    documents = [Document(text, metadata={"source": "book"}) for text in TEXTS]
    how = {"cleanup": "full", "source_id_key": "source", "key_encoder": "sha256"}
    assert index(documents, records, vectors, **how)["num_added"] == 4
    assert index(documents[:1], records, vectors, **how)["num_deleted"] == 3
    assert [found.page_content for found in vectors.similarity_search("tea")] == ["green tea"]


async def test_langchains_indexing_api_does_so_for_coroutines(store):
    vectors = ChatstoreVectorStore(Words(), store=store, user_id=USER)
    records = InMemoryRecordManager("tea")
    await records.acreate_schema()
    documents = [Document(text, metadata={"source": "book"}) for text in TEXTS]
    how = {"cleanup": "full", "source_id_key": "source", "key_encoder": "sha256"}
    assert (await aindex(documents, records, vectors, **how))["num_added"] == 4
    assert (await aindex(documents[:1], records, vectors, **how))["num_deleted"] == 3
    assert await store.count_documents(USER) == 1


class Wrong(Words):
    """Makes an embedding too few, or one that is none."""

    def __init__(self, made):
        super().__init__()
        self.made = made

    def embed_documents(self, texts):
        return self.made


@pytest.mark.parametrize(
    ("given", "how", "error", "why"),
    [
        (["x", "y"], {"metadatas": [{}]}, ValueError, "1 metadatas of 2 texts"),
        (["x", "y"], {"ids": ["1"]}, ValueError, "1 ids of 2 texts"),
        (["x", "y"], {"ids": ["1", "1"]}, InvalidRecordError, "same id"),
        (["x"], {"ids": [""]}, InvalidRecordError, "document id is empty"),
        (["x"], {"metadatas": [{"at": datetime(2026, 1, 1, tzinfo=UTC)}]}, InvalidRecordError, "holds a datetime"),
        (["x"], {"metadatas": [{"at": math.nan}]}, InvalidRecordError, "holds nan"),
        (["x"], {"metadatas": ["x"]}, InvalidRecordError, "JSON object"),
        (["\ud800"], {}, InvalidRecordError, "lone surrogate"),
        (["x"], {"collection": "c"}, TypeError, "no argument collection"),
        ("a text", {}, InvalidRecordError, "give a list"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_cannot_be_written_is_refused_before_anything_is_embedded(store, given, how, error, why):
    words = Words()
    vectors = ChatstoreVectorStore(words, store=store, user_id=USER)
    with pytest.raises(error, match=why):
        await vectors.aadd_texts(given, **how)
    assert (words.asked, await store.count_documents(USER)) == ([], 0)


@pytest.mark.parametrize(
    ("made", "error", "why"),
    [([], ConfigurationError, "0 vectors of 1"), ([[math.nan]], InvalidRecordError, "NaN")],
    ids=["too few", "no number"],
)
async def test_embeddings_that_are_none_are_refused(store, made, error, why):
    with pytest.raises(error, match=why):
        await ChatstoreVectorStore(Wrong(made), store=store, user_id=USER).aadd_texts(["x"])
    assert await store.count_documents(USER) == 0


async def test_what_no_search_can_do_is_refused(vectors):
    with pytest.raises(TypeError, match="no argument where_document"):
        await vectors.asimilarity_search("tea", where_document={"$contains": "tea"})
    with pytest.raises(InvalidRecordError, match="give an object"):
        await vectors.asimilarity_search("tea", filter="@kind:{tea}")
    with pytest.raises(InvalidRecordError, match=r"operator that no filter has"):
        await vectors.asimilarity_search("tea", filter={"kind": {"$like": "t%"}})
    with pytest.raises(InvalidRecordError, match="has 1 numbers"):
        await vectors.asimilarity_search_by_vector([1.0])


async def test_everything_is_not_deleted_for_want_of_ids(vectors, store):
    with pytest.raises(InvalidRecordError, match="forget"):
        await vectors.adelete()
    assert await vectors.adelete([]) is True
    assert await store.count_documents(USER) == 4
    assert await vectors.adelete(["a", "no such"]) is True
    assert await store.count_documents(USER) == 3


async def test_documents_are_asked_for_in_one_call_and_its_error_is_raised_as_it_is(vectors, store):
    calls = []

    async def away(user_id, ids):
        calls.append(list(ids))
        raise UnavailableError("the server is away")

    store.get_each = away
    with pytest.raises(UnavailableError, match="away"):
        await vectors.aget_by_ids([*IDS, "a"])
    assert calls == [IDS]


async def test_blocking_calls_of_an_async_store_are_made_from_other_threads(vectors):
    assert ids(await asyncio.to_thread(vectors.similarity_search, "coffee", 1)) == ["d"]
    with pytest.raises(UnsupportedError, match="await the async method"):
        vectors.similarity_search("coffee", 1)
