"""LangChain's own interfaces, over any store: a chat history, and a vector store."""

from chatstore.integrations.langchain.documents import ChatstoreVectorStore
from chatstore.integrations.langchain.history import ChatstoreHistory

__all__ = ["ChatstoreHistory", "ChatstoreVectorStore"]
