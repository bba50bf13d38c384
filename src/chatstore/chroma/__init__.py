"""Documents in Chroma: embedded, on a server, or in Chroma Cloud."""

from chatstore.chroma.client import ChromaClient
from chatstore.chroma.collections import CollectionPlan, PerUser, Sharded, Single
from chatstore.chroma.documents import ChromaDocuments
from chatstore.chroma.journal import ChromaJournal

__all__ = [
    "ChromaClient",
    "ChromaDocuments",
    "ChromaJournal",
    "CollectionPlan",
    "PerUser",
    "Sharded",
    "Single",
]
