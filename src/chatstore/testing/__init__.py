"""For tests of apps and of other people's stores: stores in memory, and the conformance suite."""

from chatstore.testing.memory_chat import MemoryChat
from chatstore.testing.memory_documents import MemoryDocuments
from chatstore.testing.memory_journal import MemoryJournal, MemoryProgress

__all__ = ["MemoryChat", "MemoryDocuments", "MemoryJournal", "MemoryProgress"]
