"""Drives LlamaIndex's Redis stores."""

from __future__ import annotations

from typing import Any

from llama_index.core.llms import ChatMessage
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import VectorStoreQuery
from llama_index.storage.chat_store.redis import RedisChatStore
from llama_index.vector_stores.redis import RedisVectorStore
from llama_index.vector_stores.redis.schema import RedisVectorStoreSchema
from redisvl.schema import IndexSchema
from serving import DIMENSIONS, embed, serve


def write_chat(url: str, session: str, messages: list[dict[str, Any]], **options: Any) -> None:
    """Append messages (`ChatMessage`'s JSON). Options: `ttl` in seconds."""
    store = RedisChatStore(redis_url=url, **options)
    for message in messages:
        store.add_message(session, ChatMessage.model_validate(message))


def replace_chat(url: str, session: str, messages: list[dict[str, Any]], **options: Any) -> None:
    """Put messages in the place of all that are there."""
    RedisChatStore(redis_url=url, **options).set_messages(
        session, [ChatMessage.model_validate(each) for each in messages]
    )


def read_chat(url: str, session: str, **options: Any) -> list[dict[str, Any]]:
    """Return all messages, oldest first."""
    return [each.model_dump(mode="json") for each in RedisChatStore(redis_url=url, **options).get_messages(session)]


def clear_chat(url: str, session: str, **options: Any) -> None:
    """Delete all messages."""
    RedisChatStore(redis_url=url, **options).delete_messages(session)


def write_documents(url: str, index: str, documents: list[dict[str, Any]], **options: Any) -> list[str]:
    """Add nodes ({id, text, metadata, source?: the document's id}) and return their ids. Options: `prefix`, `fields`."""
    nodes = []
    for each in documents:
        node = TextNode(
            id_=each["id"], text=each["text"], metadata=each.get("metadata", {}), embedding=embed(each["text"])
        )
        if "source" in each:
            node.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id=each["source"])
        nodes.append(node)
    return _store(url, index, options).add(nodes)


def read_documents(url: str, index: str, ids: list[str], **options: Any) -> list[dict[str, Any]]:
    """Return nodes by their ids."""
    return [_shown(node) for node in _store(url, index, options).get_nodes(node_ids=ids)]


def search_documents(url: str, index: str, text: str, k: int = 4, **options: Any) -> list[dict[str, Any]]:
    """Return the nearest nodes, with similarities as scores."""
    found = _store(url, index, options).query(VectorStoreQuery(query_embedding=embed(text), similarity_top_k=k))
    scores = found.similarities or []
    return [{**_shown(node), "score": float(score)} for node, score in zip(found.nodes or [], scores, strict=True)]


def delete_documents(url: str, index: str, ids: list[str], **options: Any) -> None:
    """Delete nodes by their ids."""
    _store(url, index, options).delete_nodes(ids)


def _store(url: str, index: str, options: dict[str, Any]) -> RedisVectorStore:
    schema = RedisVectorStoreSchema().to_dict()
    schema["index"].update(name=index, prefix=options.get("prefix", f"{index}/vector"))
    for field in schema["fields"]:
        if field["type"] == "vector":
            field["attrs"]["dims"] = DIMENSIONS
    schema["fields"] += options.get("fields", [])
    return RedisVectorStore(schema=IndexSchema.from_dict(schema), redis_url=url)


def _shown(node: Any) -> dict[str, Any]:
    return {"id": node.node_id, "text": node.get_content(), "metadata": node.metadata, "source": node.ref_doc_id}


FUNCTIONS = (
    write_chat,
    replace_chat,
    read_chat,
    clear_chat,
    write_documents,
    read_documents,
    search_documents,
    delete_documents,
)
serve(
    {each.__name__: each for each in FUNCTIONS},
    "llama-index-core",
    "llama-index-storage-chat-store-redis",
    "llama-index-vector-stores-redis",
    "redisvl",
)
