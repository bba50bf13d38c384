"""Sequences of items in Redis as another program sees and changes them: raw texts, oldest first."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod

import redis

from chatstore.models import NewMessage
from chatstore.ownership import SoleOwner
from chatstore.redis import chat_layout

USER = "ann"
SESSION = "s"


class Sequence(ABC):
    """The items of the one session `s` in one layout, and what a program that knows nothing of chatstore does to them."""

    name: str

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self.layout = chat_layout(self.name, owners=SoleOwner(USER))

    def item(self, content: str, own_id: str | None = None) -> bytes:
        """Return an item as the framework writes it."""
        message = NewMessage("user", content, id=own_id or "", extra={} if own_id else {"id": None})
        if self.name != "vercel-kv":
            message = NewMessage("user", content)
        return self.text_of(message)

    def text_of(self, message) -> bytes:
        """Return the item that chatstore writes for a message."""
        return self.layout.write_message(SESSION, message).fields["item"]

    def key_of(self, item: bytes) -> bytes:
        """Return what an item is recognised by: its text, or its own id."""
        return item

    @abstractmethod
    def items(self) -> list[bytes]: ...

    @abstractmethod
    def push(self, *items: bytes) -> None: ...

    @abstractmethod
    def trim(self, count: int) -> None:
        """Leave only the newest ones."""

    @abstractmethod
    def pop(self) -> None: ...

    @abstractmethod
    def set(self, rank: int, item: bytes) -> None: ...

    @abstractmethod
    def remove(self, item: bytes) -> None:
        """Remove one of the items that have this text."""

    def replace(self, items: list[bytes]) -> None:
        """Write all of it anew."""
        self.clear()
        if items:
            self.push(*items)

    @abstractmethod
    def clear(self) -> None: ...


class ListSequence(Sequence):
    key: str
    newest_first = False

    def items(self):
        found = self.client.lrange(self.key, 0, -1)
        return found[::-1] if self.newest_first else found

    def push(self, *items):
        (self.client.lpush if self.newest_first else self.client.rpush)(self.key, *items)

    def trim(self, count):
        if self.newest_first:
            self.client.ltrim(self.key, 0, count - 1)
        else:
            self.client.ltrim(self.key, -count, -1)

    def pop(self):
        (self.client.lpop if self.newest_first else self.client.rpop)(self.key)

    def set(self, rank, item):
        self.client.lset(self.key, -rank - 1 if self.newest_first else rank, item)

    def remove(self, item):
        self.client.lrem(self.key, 1, item)

    def clear(self):
        self.client.delete(self.key)


class Langchain(ListSequence):
    name = "langchain"
    key = "message_store:s"
    newest_first = True


class Llamaindex(ListSequence):
    name = "llamaindex"
    key = "s"


class OpenaiAgents(ListSequence):
    name = "openai-agents"
    key = "agents:session:s:messages"

    def push(self, *items):
        head = "agents:session:s"
        self.client.hset(head, "session_id", "s")
        self.client.hsetnx(head, "created_at", 1_700_000_000)
        super().push(*items)
        self.client.hset(head, "updated_at", 1_700_000_100)


class VercelKv(Sequence):
    name = "vercel-kv"

    def items(self):
        raw = self.client.hget("chat:s", "messages")
        return [json.dumps(one, ensure_ascii=False, separators=(",", ":")).encode() for one in json.loads(raw or "[]")]

    def key_of(self, item):
        return json.loads(item).get("id", "").encode() or item

    def replace(self, items):
        chat = {"id": "s", "title": "a chat", "userId": USER, "createdAt": 1_700_000_000_000, "path": "/chat/s"}
        if not self.client.exists("chat:s"):
            self.client.hset("chat:s", mapping=chat)
        self.client.hset("chat:s", "messages", b"[" + b",".join(items) + b"]")

    def push(self, *items):
        self.replace([*self.items(), *items])

    def trim(self, count):
        self.replace(self.items()[-count:] if count else [])

    def pop(self):
        self.replace(self.items()[:-1])

    def set(self, rank, item):
        items = self.items()
        items[rank] = item
        self.replace(items)

    def remove(self, item):
        items = self.items()
        items.remove(item)
        self.replace(items)

    def clear(self):
        self.replace([])


SEQUENCES = {each.name: each for each in (Langchain, Llamaindex, OpenaiAgents, VercelKv)}
