"""Every place at which a server may hold something of a user, looked at past chatstore."""

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import chromadb
import psycopg
import redis.asyncio

from chatstore.models import Embedding, NewDocument, NewMessage, Side

SECRET = "a9c41f-what-nobody-else-writes"
"""Stands in every content of the user who is to be forgotten, and nowhere else."""


@dataclass
class Places:
    """All that the servers hold.

    Attributes:
        user: Who is to be forgotten.
        friend: Another user, of whom nothing may be missing.
    """

    redis: redis.asyncio.Redis
    postgres: psycopg.AsyncConnection
    chroma: object
    user: str
    friend: str

    @classmethod
    @asynccontextmanager
    async def of(cls, backends, settings, database_url, user):
        host, port = settings.chroma_url.get_secret_value().removeprefix("http://").split(":")
        chroma = chromadb.HttpClient(host, int(port), database=settings.chroma_database)
        async with (
            redis.asyncio.Redis.from_url(settings.redis_url.get_secret_value()) as client,
            await psycopg.AsyncConnection.connect(database_url, autocommit=True) as postgres,
        ):
            yield cls(client, postgres, chroma, user, f"{user}'s friend")

    async def everything(self):
        """Return all that the servers hold, a text for each place."""
        found = {}
        async for key in self.redis.scan_iter(count=1000):
            kind = await self.redis.type(key)
            read = {
                b"hash": self.redis.hgetall,
                b"string": self.redis.get,
                b"list": partial(self.redis.lrange, start=0, end=-1),
                b"set": self.redis.smembers,
                b"zset": partial(self.redis.zrange, start=0, end=-1),
            }[kind]
            found[f"redis {key.decode()}"] = repr(await read(key))
        for table in ("public.sessions", "public.messages", "chatstore.session_states", "chatstore.tombstones",
                      "chatstore.marks", "chatstore.copied"):  # fmt: skip
            rows = await (await self.postgres.execute(f"select row_to_json(t)::text from {table} t")).fetchall()
            found |= {f"postgres {table} {number}": row for number, (row,) in enumerate(rows)}
        for collection in self.chroma.list_collections():
            held = self.chroma.get_collection(collection.name, embedding_function=None).get()
            rows = zip(held["ids"], held["documents"], held["metadatas"], strict=True)
            found |= {f"chroma {collection.name} {row[0]}": json.dumps(row) for row in rows}
        return found

    async def contents(self):
        """Return where something that the user said stands."""
        return [place for place, text in (await self.everything()).items() if SECRET in text]

    async def with_ids_only(self):
        """Return what is named after the user, and what of it is not chatstore's own."""
        found = {place: text for place, text in (await self.everything()).items() if self.user in place + text}
        return {place: text for place, text in found.items() if self.friend not in place + text}


def message(text=""):
    return NewMessage("user", f"{SECRET} {text}", metadata={"note": SECRET}, extra={"more": SECRET})


def document(name, text=""):
    return NewDocument(
        f"{SECRET} {text}", id=name, title=SECRET, embedding=Embedding.of([1, 2, 3]), metadata={"note": SECRET}
    )


async def seen_by(user, sides, documents):
    """Return what each side shows a user: sessions and documents."""
    return {
        side: (
            [session.id for session in (await sides[side].list_sessions(user)).items],
            [one.id for one in (await documents[side].list_documents(user)).items],
        )
        for side in Side
    }


NOTHING = {side: ([], []) for side in Side}
