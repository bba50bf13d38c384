"""What the drivers of LangChain's Redis classes share. Runs in the framework's environment."""

from __future__ import annotations

from typing import Any

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore
from serving import embed


class FakeEmbeddings(Embeddings):
    """Embeddings that need no model."""

    def embed_query(self, text: str) -> list[float]:
        return embed(text)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [embed(text) for text in texts]


def add_documents(store: VectorStore, documents: list[dict[str, Any]]) -> list[str]:
    """Add documents ({id?, text, metadata}) and return what the store names them by."""
    added = [Document(page_content=each["text"], metadata=each.get("metadata", {})) for each in documents]
    keys = {"ids": [each["id"] for each in documents]} if all("id" in each for each in documents) else {}
    return store.add_documents(added, **keys)
