"""Raw readings of both sides, by the servers' own clients: none of chatstore's code has a part in them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import urlsplit

import chromadb
import psycopg
from chromadb.config import Settings
from redis import Redis

from demo.check import Seen
from demo.digest import digest
from demo.ledger import What

_PAGE = 500


def read_redis(url: str) -> list[Seen]:
    """Return all that lies in Redis under the app's own key names."""
    with Redis.from_url(url, decode_responses=True) as redis:
        sessions = dict(_hashes(redis, "session:"))
        messages = dict(_hashes(redis, "message:"))
        documents = dict(_hashes(redis, "document:"))
    return [
        *(_redis_session(name, fields) for name, fields in sessions.items()),
        *_redis_messages(sessions, messages),
        *(_redis_document(name, fields) for name, fields in documents.items()),
    ]


def _hashes(redis: Redis, prefix: str) -> Iterator[tuple[str, dict[str, str]]]:
    keys = sorted(set(redis.scan_iter(f"{prefix}*", count=_PAGE)))
    for start in range(0, len(keys), _PAGE):
        page = keys[start : start + _PAGE]
        with redis.pipeline(transaction=False) as pipeline:
            for key in page:
                pipeline.hgetall(key)
            for key, fields in zip(page, pipeline.execute(), strict=True):
                yield key.removeprefix(prefix), fields


def _redis_session(name: str, fields: dict[str, str]) -> Seen:
    return Seen(what=What.SESSION, id=name, value=fields.get("title", ""), user_id=fields.get("userId"))


def _redis_messages(sessions: dict[str, dict[str, str]], messages: dict[str, dict[str, str]]) -> Iterator[Seen]:
    listed = set()
    for session_id, session in sessions.items():
        for name in json.loads(session.get("messageIds", "[]")):
            if name in messages:
                listed.add(name)
                yield _redis_message(name, messages[name], session.get("userId"), session_id)
    for name, fields in messages.items():
        if name not in listed:
            yield _redis_message(name, fields, None, fields.get("sessionId", ""))


def _redis_message(name: str, fields: dict[str, str], user_id: str | None, session_id: str) -> Seen:
    return Seen(what=What.MESSAGE, id=name, value=fields.get("content", ""), session_id=session_id, user_id=user_id)


def _redis_document(name: str, fields: dict[str, str]) -> Seen:
    value = digest(fields.get("title", ""), fields.get("content", ""), json.loads(fields.get("embedding", "[]")))
    return Seen(what=What.DOCUMENT, id=name, value=value, user_id=fields.get("userId"))


def read_postgres(url: str) -> list[Seen]:
    """Return all sessions and messages that lie in Supabase's database."""
    with psycopg.connect(url) as connection:
        sessions = connection.execute("select id, title, user_id from public.sessions")
        messages = connection.execute(
            "select id, content, session_id, user_id from public.messages order by session_id, position, id"
        )
        return [
            *(Seen(what=What.SESSION, id=name, value=title, user_id=user) for name, title, user in sessions),
            *(
                Seen(what=What.MESSAGE, id=name, value=content, session_id=session, user_id=user)
                for name, content, session, user in messages
            ),
        ]


def read_chroma(url: str) -> list[Seen]:
    """Return all documents that lie in the users' collections in Chroma."""
    where = urlsplit(url)
    client = chromadb.HttpClient(
        host=where.hostname or "", port=where.port or 0, settings=Settings(anonymized_telemetry=False)
    )
    # The names first: they are what a page of collections must not be shifted by.
    names = [collection.name for collection in client.list_collections() if collection.name.startswith("user_docs_")]
    return [seen for name in names for seen in _collection(client.get_collection(name, embedding_function=None))]


def _collection(collection: chromadb.Collection) -> Iterator[Seen]:
    for offset in range(0, collection.count(), _PAGE):
        page = collection.get(limit=_PAGE, offset=offset, include=["documents", "metadatas", "embeddings"])
        texts, metadatas, vectors = page["documents"], page["metadatas"], page["embeddings"]
        if texts is None or metadatas is None or vectors is None:
            raise ValueError(f"Chroma left out a part of the records in {collection.name}")
        for name, text, metadata, vector in zip(page["ids"], texts, metadatas, vectors, strict=True):
            value = digest(str(metadata.get("title", "")), text, [float(number) for number in vector])
            yield Seen(what=What.DOCUMENT, id=name, value=value, user_id=str(metadata.get("user_id")))
