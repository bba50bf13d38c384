"""`ChatstoreVectorStore` is a vector store of LlamaIndex's, blocking and async, over a store in memory."""

import asyncio

import pytest
from llama_index.core.schema import (
    ImageNode,
    IndexNode,
    MediaResource,
    Node,
    NodeRelationship,
    RelatedNodeInfo,
    TextNode,
)
from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
)

import chatstore
from chatstore.integrations.llamaindex import ChatstoreVectorStore
from chatstore.models import Embedding, NewDocument, Side
from chatstore.testing import MemoryDocuments

ASYNC = {"add": "async_add"}


def node(name, vector, source="d1", **metadata):
    related = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id=source)} if source else {}
    return TextNode(id_=name, text=f"the text of {name}", embedding=vector, metadata=metadata, relationships=related)


NODES = [
    node("n1", [1.0, 0.0], topic="tea", year=2020, title="Green"),
    node("n2", [0.5, 0.5], topic="tea", year=2024, tags=["a", "b"]),
    node("n3", [0.0, 1.0], source="d2", topic="coffee", year=2022),
    node("n4", [-1.0, 0.0], source=None),
]
KINDS = {
    "related": TextNode(
        id_="k",
        text="Žlutý 馬 \u0000",
        embedding=[1.0, 0.5],
        metadata={"b": 1, "a": {"deep": [1.5, None, True]}, "_node_type": "x", "doc_id": "y", "text": "z"},
        excluded_llm_metadata_keys=["b"],
        start_char_idx=3,
        text_template="{content}",
        relationships={
            NodeRelationship.SOURCE: RelatedNodeInfo(node_id="d1", metadata={"c": 1}, hash="h"),
            NodeRelationship.NEXT: RelatedNodeInfo(node_id="k2"),
            NodeRelationship.CHILD: [RelatedNodeInfo(node_id="k3"), RelatedNodeInfo(node_id="k4")],
        },
    ),
    "a picture": ImageNode(id_="k", text="a cup", image="aGVsbG8=", embedding=[1.0, 0.5]),
    "an index": IndexNode(id_="k", text="more", index_id="i1", embedding=[1.0, 0.5]),
    "several media": Node(
        id_="k",
        text_resource=MediaResource(text="a cup", mimetype="text/markdown"),
        image_resource=MediaResource(data=b"png", mimetype="image/png"),
        embedding=[1.0, 0.5],
    ),
    "a picture alone": Node(id_="k", image_resource=MediaResource(data=b"png"), embedding=[1.0, 0.5]),
    "no text": TextNode(id_="k", text="", embedding=[1.0, 0.5]),
}


@pytest.fixture
def documents():
    return MemoryDocuments(Side.NEW)


@pytest.fixture(params=["async", "blocking"])
def call(request, documents):
    """A function that calls a method of the store by its blocking name, in the one way or in the other."""
    store = ChatstoreVectorStore(documents, user_id="u1")

    async def through(name, *args, **kwargs):
        if request.param == "async":
            return await getattr(store, ASYNC.get(name, f"a{name}"))(*args, **kwargs)
        await store.aget_nodes([])  # so that it knows the loop
        return await asyncio.to_thread(getattr(store, name), *args, **kwargs)

    return through


async def test_nodes_come_in_the_order_of_their_ids_by_few_calls(call, documents, monkeypatch):
    names = [f"n{number}" for number in range(600)]
    await documents.upsert("u1", [NewDocument("x", id=name, embedding=Embedding.of([1, 0])) for name in names])
    calls, read = [], documents.get_each

    async def counted(user_id, ids):
        calls.append(len(ids))
        return await read(user_id, ids)

    monkeypatch.setattr(documents, "get_each", counted)
    found = await call("get_nodes", [*names[::-1], "nowhere", names[0]])
    assert [each.node_id for each in found] == names[::-1]
    assert calls == [500, 101]


def query(vector=(1.0, 0.0), k=4, **given):
    return VectorStoreQuery(query_embedding=list(vector), similarity_top_k=k, **given)


def ids(nodes):
    return sorted(each.node_id for each in nodes)


@pytest.mark.parametrize("kind", KINDS)
async def test_nodes_of_every_kind_come_back_as_they_were(call, kind):
    given = KINDS[kind].model_copy(deep=True)
    assert await call("add", [given]) == ["k"]
    [found] = await call("get_nodes", ["k"])
    assert type(found) is type(given)
    assert found.model_dump_json() == given.model_dump_json()
    [found] = (await call("query", query())).nodes
    assert found.model_dump_json() == given.model_dump_json()


async def test_a_query_gives_the_most_alike_first(call):
    await call("add", NODES)
    result = await call("query", query(k=3))
    assert result.ids == ids(result.nodes) == ["n1", "n2", "n3"]
    assert result.similarities == pytest.approx([1, 0.5**0.5, 0])


EQ, OPS = MetadataFilter(key="topic", value="tea"), FilterOperator
NESTED = MetadataFilters(filters=[EQ, MetadataFilter(key="year", value=2022)], condition=FilterCondition.OR)


@pytest.mark.parametrize(
    ("filters", "condition", "fit"),
    [
        ([EQ], "and", ["n1", "n2"]),
        ([MetadataFilter(key="topic", value="tea", operator=OPS.NE)], "and", ["n3", "n4"]),
        ([MetadataFilter(key="year", value=2022, operator=OPS.GTE)], "and", ["n2", "n3"]),
        ([EQ, MetadataFilter(key="year", value=2022, operator=OPS.LT)], "and", ["n1"]),
        ([MetadataFilter(key="year", value=[2020, 2022], operator=OPS.IN)], "and", ["n1", "n3"]),
        ([MetadataFilter(key="year", value=[2020, 2022], operator=OPS.NIN)], "and", ["n2", "n4"]),
        ([EQ, MetadataFilter(key="year", value=2022)], "or", ["n1", "n2", "n3"]),
        ([EQ, MetadataFilter(key="year", value=2022)], "not", ["n4"]),
        ([NESTED, MetadataFilter(key="year", value=2020, operator=OPS.NE)], "and", ["n2", "n3"]),
        ([NESTED], "not", ["n4"]),
        ([MetadataFilter(key="title", value="Green")], "and", ["n1"]),
        ([], "and", ["n1", "n2", "n3", "n4"]),
    ],
)
async def test_filters_choose_what_is_found_and_what_is_deleted(call, filters, condition, fit):
    given = MetadataFilters(filters=filters, condition=condition)
    await call("add", NODES)
    assert ids((await call("query", query(filters=given))).nodes) == fit
    assert ids(await call("get_nodes", filters=given)) == fit
    assert ids(await call("get_nodes", ["n4", "n2", "nowhere"], given)) == sorted({"n2", "n4"} & set(fit))
    if filters:
        await call("delete_nodes", filters=given)
        assert ids(await call("get_nodes")) == sorted({"n1", "n2", "n3", "n4"} - set(fit))


async def test_the_parts_of_a_document_are_deleted_with_it(call):
    await call("add", NODES)
    await call("delete", "d1")
    assert ids(await call("get_nodes")) == ["n3", "n4"]
    await call("delete_nodes", ["n3", "nowhere"])
    assert ids(await call("get_nodes")) == ["n4"]


async def test_only_the_users_nodes_are_cleared(call, documents):
    await call("add", NODES)
    await documents.upsert("u2", NewDocument("theirs", embedding=Embedding.of([1, 0])))
    await call("clear")
    assert await call("get_nodes") == []
    assert await documents.count_documents("u2") == 1


async def test_what_the_app_wrote_is_a_node(call, documents):
    written = NewDocument(
        "Green tea is steamed.", id="d", title="Tea", metadata={"x": 1}, embedding=Embedding.of([1, 0])
    )
    await documents.upsert("u1", written)
    [found] = (await call("query", query())).nodes
    assert (found.node_id, found.text, found.metadata) == ("d", "Green tea is steamed.", {"title": "Tea", "x": 1})


async def test_without_embeddings_the_stores_embedder_makes_them(call, documents):
    async def embed(texts):
        return [Embedding.of([len(text), 1]) for text in texts]

    with pytest.raises(chatstore.ConfigurationError, match="embedder"):
        await call("add", [TextNode(text="tea")])
    documents.embedder = embed
    await call("add", [TextNode(id_="n1", text="tea")])
    assert (await call("query", VectorStoreQuery(query_str="tee"))).ids == ["n1"]


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (query(mode=VectorStoreQueryMode.MMR), "mode 'mmr'"),
        (query(node_ids=["n1"]), "among some ids"),
        (query(doc_ids=["d1"]), "among some ids"),
        (
            query(filters=MetadataFilters(filters=[MetadataFilter(key="t", value="x", operator=OPS.TEXT_MATCH)])),
            "text_match",
        ),
        (
            query(
                filters=MetadataFilters(filters=[MetadataFilter(key="t", value=1, operator=OPS.GT)], condition="not")
            ),
            "cannot be negated",
        ),
        (query(filters=MetadataFilters(filters=[MetadataFilters(filters=[])])), "no parts"),
    ],
)
async def test_what_no_side_could_do_is_refused(call, asked, says):
    with pytest.raises(chatstore.UnsupportedError, match=says):
        await call("query", asked)


async def test_bad_input_is_refused(call):
    for nodes, says in (
        (["text"], "give LlamaIndex's"),
        ([TextNode(text="x", metadata={"a": float("nan")}, embedding=[1.0])], "nan"),
        ([NODES[0], NODES[0]], "same id"),
    ):
        with pytest.raises(chatstore.InvalidRecordError, match=says):
            await call("add", nodes)
    with pytest.raises(chatstore.InvalidRecordError, match="call `clear`"):
        await call("delete_nodes")
    with pytest.raises(chatstore.InvalidRecordError, match="neither an embedding nor a text"):
        await call("query", VectorStoreQuery())
    with pytest.raises(chatstore.UnsupportedError, match="no argument 'colour'"):
        await call("query", query(), colour="red")
    assert await call("get_nodes") == []


def test_a_store_of_nobody_is_refused(documents):
    with pytest.raises(chatstore.ConfigurationError, match="give `user_id`"):
        ChatstoreVectorStore(documents)
    with pytest.raises(chatstore.ConfigurationError, match="a str was given"):
        ChatstoreVectorStore("documents", user_id="u1")
    assert ChatstoreVectorStore(documents, user_id="u1").client is documents
