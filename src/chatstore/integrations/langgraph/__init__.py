"""LangGraph's own interfaces, over any store: a checkpointer, a store of items, and threads made of histories."""

from chatstore.integrations.langgraph.saver import ChatstoreSaver
from chatstore.integrations.langgraph.seed import seed_threads
from chatstore.integrations.langgraph.store import ChatstoreStore

__all__ = ["ChatstoreSaver", "ChatstoreStore", "seed_threads"]
