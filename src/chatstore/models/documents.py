"""Documents: what they are, how a caller asks to change them, what a change did, and what a search found."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, TypeAlias

from chatstore.models.embedding import Embedding
from chatstore.models.values import JsonObject, new_id, utc_now


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A text of one user with its embedding.

    Attributes:
        id: The app's own string.
        user_id: Whose it is.
        text: The text.
        embedding: Its vector; never recomputed by chatstore. None where the source has none.
        title: What the app shows for it; may be empty.
        url: Where it came from; may be empty.
        metadata: The app's own JSON object. A search filters on its scalar fields.
        created_at: When it was created (UTC).
        updated_at: When it was last written (UTC). Lists are ordered by it.
        expires_at: When it ceases to exist (UTC), where the layout says so (a Redis TTL).
        version: Grows with every write; see `models.versions`.
        extra: What the layout held beside these, by the layout's own names; carried along unchanged.
    """

    id: str
    user_id: str
    text: str = field(repr=False)
    embedding: Embedding | None
    title: str = field(default="", repr=False)
    url: str = field(default="", repr=False)
    metadata: JsonObject = field(default_factory=dict, repr=False)
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None = None
    version: int = 0
    extra: JsonObject = field(default_factory=dict, repr=False)

    @property
    def key(self) -> DocumentKey:
        """What names it among all users' documents."""
        return DocumentKey(self.user_id, self.id)


@dataclass(frozen=True, slots=True)
class NewDocument:
    """A document to write. Its id is made with it, so writing the same object again makes no second one.

    Attributes: as of `Document`. Without an `embedding` the store's embedder is asked for one.
    """

    text: str = field(repr=False)
    id: str = field(default_factory=new_id, kw_only=True)
    embedding: Embedding | None = field(default=None, kw_only=True)
    title: str = field(default="", kw_only=True, repr=False)
    url: str = field(default="", kw_only=True, repr=False)
    metadata: JsonObject = field(default_factory=dict, kw_only=True, repr=False)
    created_at: datetime = field(default_factory=utc_now, kw_only=True)
    extra: JsonObject = field(default_factory=dict, kw_only=True, repr=False)


@dataclass(frozen=True, slots=True, order=True)
class DocumentKey:
    """Names a document: its user and its id."""

    user_id: str
    id: str


@dataclass(frozen=True, slots=True)
class Match:
    """A search hit.

    Attributes:
        document: What was found.
        score: The cosine similarity of its embedding and the query's: 1 the same direction, 0 none in common,
            -1 the opposite.
    """

    document: Document
    score: float


# What a caller may ask for. Each document is written in one atomic step; a batch is not one step.


@dataclass(frozen=True, slots=True, kw_only=True)
class UpsertDocuments:
    """Write documents, new or over their older selves. `created_at` stays what it was first."""

    op: ClassVar[str] = "upsert"
    user_id: str
    documents: tuple[NewDocument, ...]
    at: datetime = field(default_factory=utc_now)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteDocuments:
    """Delete documents by id; ids that are not there are passed over."""

    op: ClassVar[str] = "delete"
    user_id: str
    ids: tuple[str, ...]
    at: datetime = field(default_factory=utc_now)


DocumentCommand: TypeAlias = UpsertDocuments | DeleteDocuments
"""A write on documents, which a side does in one step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentChange:
    """One document's state, to be joined into the other side's: the newer of the document and its deletion.

    A document that has expired is as if it were not there: where its newest state has expired there is none, and no
    older one takes its place; the same version with a later expiry does.

    Attributes:
        key: Which document.
        document: Its state; None when it was deleted.
        deleted: The version of its newest deletion; 0 when it was never deleted. It wins over a document of the same
            or an older version.
    """

    key: DocumentKey
    document: Document | None
    deleted: int = 0

    @property
    def version(self) -> int:
        """The version of the state: of the document, or of its deletion."""
        return max(self.deleted, self.document.version if self.document else 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentsWritten:
    """What a command did on the side that executed it.

    Attributes:
        changes: What to hand to the other side: of each document that was written or deleted, its new state.
        documents: The documents as stored, in the command's order; empty for a deletion.
    """

    changes: tuple[DocumentChange, ...]
    documents: tuple[Document, ...] = ()
