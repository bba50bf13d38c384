"""Embeddings that need no model: how often a text has each of some words."""

from langchain_core.embeddings import Embeddings

WORDS = ("green", "black", "tea", "coffee")


class Words(Embeddings):
    """Counts words.

    Attributes:
        asked: How many texts it was given at a time.
    """

    def __init__(self):
        self.asked = []

    def embed_documents(self, texts):
        self.asked.append(len(texts))
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text):
        return [float(text.lower().split().count(word)) for word in WORDS]
