"""The interfaces between an app, the router, the migrator and the backends."""

from chatstore.interfaces.chat import ChatHistoryStore
from chatstore.interfaces.chat_side import ChatSide
from chatstore.interfaces.document_side import DocumentSide
from chatstore.interfaces.documents import DocumentStore, Embedder
from chatstore.interfaces.journal import Journal
from chatstore.interfaces.one_user import UserChat, UserDocuments
from chatstore.interfaces.progress import Progress

__all__ = [
    "ChatHistoryStore",
    "ChatSide",
    "DocumentSide",
    "DocumentStore",
    "Embedder",
    "Journal",
    "Progress",
    "UserChat",
    "UserDocuments",
]
