"""The plan: which collection holds which user's documents."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod

from chatstore.chroma.names import collection_name, joined_id, split_id, user_of
from chatstore.errors import ConfigurationError
from chatstore.models import DocumentKey

_MAX_SHARDS = 10_000


class CollectionPlan(ABC):
    """Lays users out over collections.

    All documents of one collection have embeddings of one dimension: the first one's. A plan must not change once
    documents are there, for they would no longer be found.

    Attributes:
        shared: Whether a collection holds several users' documents, so that every read must be narrowed to its user.
    """

    shared: bool

    @abstractmethod
    def collection_of(self, user_id: str) -> str:
        """Return the name of the collection that holds the user's documents.

        Raises:
            InvalidRecordError: The id holds a lone surrogate.
        """

    @abstractmethod
    def holds(self, collection: str) -> bool:
        """Return whether a collection is one of this plan's."""

    def owner_of(self, collection: str) -> str | None:
        """Return whose collection it is; None when it is shared, or when the name does not tell."""
        _ = collection
        return None

    def record_id(self, key: DocumentKey) -> str:
        """Return the id that a document has in its collection."""
        return joined_id(key.user_id, key.id) if self.shared else key.id

    def document_id(self, record_id: str) -> str:
        """Return the document's own id, of the one that it has in its collection."""
        return split_id(record_id)[1] if self.shared else record_id


class PerUser(CollectionPlan):
    """A collection for each user, `user_docs_{user_id}`: nobody's search can touch another's documents.

    The better choice while a user has up to some hundred thousand documents. Each collection costs the server some
    memory and files, so for very many users with few documents each, take `Sharded`.

    Args:
        prefix: What the names begin with.
    """

    shared = False

    def __init__(self, prefix: str = "user_docs_") -> None:
        self._prefix = _checked(prefix)

    def collection_of(self, user_id: str) -> str:
        return collection_name(self._prefix, user_id)

    def holds(self, collection: str) -> bool:
        return collection.startswith(self._prefix)

    def owner_of(self, collection: str) -> str | None:
        return user_of(self._prefix, collection)


class Sharded(CollectionPlan):
    """A fixed number of collections, each with the users whose ids' SHA-256 falls to it.

    Args:
        shards: How many. It is a part of the collections' names, so another number never mixes with this one.
        prefix: What the names begin with.
    """

    shared = True

    def __init__(self, shards: int = 16, prefix: str = "docs_") -> None:
        if not 1 <= shards <= _MAX_SHARDS:
            raise ConfigurationError(f"from 1 to {_MAX_SHARDS} shards are possible; {shards} were asked for")
        self._prefix = _checked(prefix)
        self._names = [f"{self._prefix}{shard}_of_{shards}" for shard in range(shards)]

    def collection_of(self, user_id: str) -> str:
        digest = hashlib.sha256(user_id.encode("utf-8", "surrogatepass")).digest()
        return self._names[int.from_bytes(digest[:8], "big") % len(self._names)]

    def holds(self, collection: str) -> bool:
        return collection in self._names


class Single(CollectionPlan):
    """One collection for all users.

    Args:
        name: Its name.
    """

    shared = True

    def __init__(self, name: str = "user_docs") -> None:
        self._name = name

    def collection_of(self, user_id: str) -> str:
        _ = user_id
        return self._name

    def holds(self, collection: str) -> bool:
        return collection == self._name


def _checked(prefix: str) -> str:
    if collection_name("", prefix + "x") != prefix + "x":
        raise ConfigurationError(f"{prefix!r} cannot begin the name of a collection: Chroma takes [a-zA-Z0-9._-] only")
    return prefix
