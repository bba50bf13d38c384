"""LangChain's documents as chatstore's, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from chatstore.errors import ConfigurationError, InvalidRecordError
from chatstore.integrations.langchain.messages import MISSING
from chatstore.models import Document as Stored
from chatstore.models import Embedding, JsonValue, NewDocument
from chatstore.models.values import check_id, check_object, check_text, new_id

try:
    from langchain_core.documents import Document
except ImportError as error:
    raise ImportError(MISSING) from error

_OF_ITS_OWN = ("title", "url")
"""What a document has besides its metadata: a filter by these names looks there."""


def new_documents(
    texts: Iterable[str],
    metadatas: Sequence[Mapping[str, Any]] | None = None,
    ids: Sequence[str | None] | None = None,
) -> list[NewDocument]:
    """Return what LangChain gives as documents to write, without their embeddings.

    Metadata stay as they are. A text that they have as `title` or `url` is the document's title or URL, too, so that a
    filter finds it.

    Raises:
        ValueError: There are more or fewer metadata, or ids, than texts.
        InvalidRecordError: Two ids are the same, one is none, or a text or metadata are what no side can hold.
    """
    if isinstance(texts, str):
        raise InvalidRecordError("the texts are one text: give a list")
    all_texts = [check_text(text, "text") for text in texts]
    for given, what in ((metadatas, "metadatas"), (ids, "ids")):
        if given is not None and len(given) != len(all_texts):
            raise ValueError(f"there are {len(given)} {what} of {len(all_texts)} texts: give one each")
    all_metadata = [{}] * len(all_texts) if metadatas is None else metadatas
    names = [new_id() if name is None else check_id(name, "document id") for name in ids or [None] * len(all_texts)]
    if len(set(names)) < len(names):
        raise InvalidRecordError("two of the documents have the same id")
    return [_new(*one) for one in zip(all_texts, names, all_metadata, strict=True)]


def document_of(stored: Stored) -> Document:
    """Return a document as LangChain's; its title and its URL are in the metadata, where these have no others."""
    own = {"title": stored.title, "url": stored.url}
    shown = {name: value for name, value in own.items() if value}
    return Document(id=stored.id, page_content=stored.text, metadata={**shown, **_plain_object(stored.metadata)})


def embeddings_of(vectors: Iterable[Sequence[float]], count: int) -> list[Embedding]:
    """Return what LangChain's embeddings made of some texts.

    Raises:
        ConfigurationError: They are more or fewer than the texts.
        InvalidRecordError: One has no number, a NaN or an infinity.
    """
    made = [Embedding.of(vector) for vector in vectors]
    if len(made) != count:
        raise ConfigurationError(f"the embeddings made {len(made)} vectors of {count} texts: they make one each")
    return made


def _new(text: str, name: str, metadata: Mapping[str, Any] | None) -> NewDocument:
    if metadata:
        check_object(metadata, f"metadata of the document {name!r}")
    plain = _plain_object(metadata or {})
    title, url = (value if isinstance(value := plain.get(each), str) else "" for each in _OF_ITS_OWN)
    return NewDocument(text, id=name, title=title, url=url, metadata=plain)


def _plain_object(value: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return a copy that nobody else holds: what LangChain hands out, apps change."""
    return {name: _plain(each) for name, each in value.items()}


def _plain(value: JsonValue) -> JsonValue:
    if isinstance(value, Mapping):
        return _plain_object(value)
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value
