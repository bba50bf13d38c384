"""Chat history and documents in Redis, in the layouts that apps already have."""

from chatstore.redis.chat import RedisChat
from chatstore.redis.client import AppClient, Client
from chatstore.redis.connecting import connect, take_over
from chatstore.redis.documents import RedisDocuments
from chatstore.redis.foreign import foreign_documents, foreign_sessions
from chatstore.redis.foreign_writes import ForeignWrites
from chatstore.redis.journal import RedisJournal
from chatstore.redis.layouts import CHAT_LAYOUTS, DOCUMENT_LAYOUTS, chat_layout, document_layout
from chatstore.redis.progress import RedisProgress
from chatstore.redis.raw import RawData

__all__ = [
    "CHAT_LAYOUTS",
    "DOCUMENT_LAYOUTS",
    "AppClient",
    "Client",
    "ForeignWrites",
    "RawData",
    "RedisChat",
    "RedisDocuments",
    "RedisJournal",
    "RedisProgress",
    "chat_layout",
    "connect",
    "document_layout",
    "foreign_documents",
    "foreign_sessions",
    "take_over",
]
