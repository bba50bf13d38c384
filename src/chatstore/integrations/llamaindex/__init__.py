"""LlamaIndex's own interfaces, over any store: chat stores of both kinds, and a vector store."""

from chatstore.integrations.llamaindex.chat import ChatstoreChatStore, ChatstoreDBChatStore
from chatstore.integrations.llamaindex.documents import ChatstoreVectorStore

__all__ = ["ChatstoreChatStore", "ChatstoreDBChatStore", "ChatstoreVectorStore"]
