"""LlamaIndex's nodes as chatstore's documents, and back: laid out as the Redis layout `llamaindex` is read."""

from __future__ import annotations

from collections.abc import Mapping

from chatstore.errors import InvalidRecordError, UnsupportedError
from chatstore.integrations.llamaindex.messages import MISSING
from chatstore.models import Document, Embedding, JsonValue, NewDocument
from chatstore.models.values import check_object
from chatstore.redis.layouts.fields import BadFieldError
from chatstore.redis.layouts.llamaindex_documents import LlamaindexDocuments

try:
    from llama_index.core.schema import BaseNode, MetadataMode, Node, TextNode
    from llama_index.core.vector_stores.utils import metadata_dict_to_node, node_to_metadata_dict
except ImportError as error:
    raise ImportError(MISSING) from error

_LAYOUT = LlamaindexDocuments()
_NODE, _TYPE = "_node_content", "_node_type"
_OF_ITS_OWN = ("title", "url")
"""What a document has besides its metadata: a filter by these names looks there."""


def new_document(node: BaseNode) -> NewDocument:
    """Return a node as a document to write. A `title` or `url` in its metadata is the document's, too.

    Raises:
        InvalidRecordError: It is no node, or holds what JSON cannot.
    """
    if not isinstance(node, BaseNode):
        raise InvalidRecordError(f"a {type(node).__name__} was given for a node: give LlamaIndex's `TextNode`, say")
    check_object(node.metadata, f"metadata of the node {node.node_id!r}")
    try:
        # The text is the document's. Of a node of several media, it says more than that.
        said = node_to_metadata_dict(node, remove_text=not isinstance(node, Node))
        metadata, extra = _LAYOUT.decode({_NODE: said[_NODE]})
    except (ValueError, TypeError, BadFieldError) as error:
        raise InvalidRecordError(f"the node {node.node_id!r} cannot be kept: {error}") from error
    title, url = (value if isinstance(value := metadata.get(each), str) else "" for each in _OF_ITS_OWN)
    return NewDocument(
        node.get_content(MetadataMode.NONE),
        id=node.node_id,
        embedding=None if node.embedding is None else Embedding.of(node.embedding),
        title=title,
        url=url,
        metadata=metadata,
        extra={_NODE: extra[_NODE]},
    )


def node_of(document: Document) -> BaseNode:
    """Return a document as a node; its title and its URL are in the metadata, where these have no others.

    Raises:
        UnsupportedError: LlamaIndex cannot read the node that the document holds.
    """
    extra = {_NODE: _plain(document.extra[_NODE])} if _NODE in document.extra else {}
    values = _LAYOUT.encode(document, extra)
    try:
        if isinstance(values.get(_NODE), str):
            node = metadata_dict_to_node(values)
        else:
            node = TextNode(id_=document.id, metadata=_plain(document.metadata))
        if node.get_content(MetadataMode.NONE) != document.text:
            node.set_content(document.text)
    except (ValueError, AttributeError) as error:
        raise UnsupportedError(f"LlamaIndex cannot read the node of the document {document.id!r}: {error}") from error
    own = {"title": document.title, "url": document.url}
    node.metadata = {**{name: value for name, value in own.items() if value}, **node.metadata}
    node.embedding = None if document.embedding is None else list(document.embedding)
    return node


def _plain(value: JsonValue) -> JsonValue:
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value
