"""What was there before: an app that keeps its chats and documents in Redis, and has never heard of chatstore.

Its keys are those of the layout `hash`: `session:{id}`, `message:{id}` and `document:{id}`, each a hash.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import TypeAlias

from redis import Redis
from redis.typing import EncodableT, FieldT

from demo.digest import digest
from demo.ledger import Effect, What
from demo.material import dialogues, embedding_of, texts

Fields: TypeAlias = dict[FieldT, EncodableT]

_DAY = 86_400_000
_MESSAGES = 16


@dataclass(frozen=True, slots=True)
class LegacyMessage:
    """One turn, as the app stores it."""

    id: str
    role: str
    content: str


@dataclass(frozen=True, slots=True)
class LegacySession:
    """One conversation, as the app stores it."""

    id: str
    user_id: str
    title: str
    language: str
    created_at: int
    messages: tuple[LegacyMessage, ...]

    @property
    def effects(self) -> list[Effect]:
        """What must be there afterwards."""
        header = Effect(what=What.SESSION, id=self.id, value=self.title)
        turns = (
            Effect(what=What.MESSAGE, id=message.id, value=message.content, session_id=self.id)
            for message in self.messages
        )
        return [header, *turns]


@dataclass(frozen=True, slots=True)
class LegacyDocument:
    """One text with its embedding, as the app stores it."""

    id: str
    user_id: str
    title: str
    text: str
    created_at: int

    @property
    def effects(self) -> list[Effect]:
        """What must be there afterwards."""
        value = digest(self.title, self.text, embedding_of(self.text))
        return [Effect(what=What.DOCUMENT, id=self.id, value=value)]


def make_sessions(users: list[str], count: int, random: Random) -> list[LegacySession]:
    """Return conversations of the last year, in all languages of the corpus."""
    now = time.time_ns() // 1_000_000
    made = []
    pieces = list(_pieces())
    for number, (language, subject, turns) in enumerate(random.sample(pieces, min(count, len(pieces)))):
        name = f"{random.getrandbits(48):012x}"
        messages = tuple(
            LegacyMessage(f"{name}-{place}", "assistant" if place % 2 else "user", turn)
            for place, turn in enumerate(turns)
        )
        created_at = now - random.randrange(_DAY, 365 * _DAY)
        user_id = users[number % len(users)]
        made.append(LegacySession(name, user_id, f"{subject} ({language})", language, created_at, messages))
    return made


def make_documents(users: list[str], random: Random) -> list[LegacyDocument]:
    """Return every help topic of Python, once for each of the users."""
    now = time.time_ns() // 1_000_000
    return [
        LegacyDocument(f"{random.getrandbits(48):012x}", user_id, title, text, now - random.randrange(365 * _DAY))
        for user_id in users
        for title, text in texts().items()
    ]


def write(redis: Redis, sessions: list[LegacySession], documents: list[LegacyDocument]) -> None:
    """Store all of it as the app did."""
    with redis.pipeline(transaction=False) as pipeline:
        for session in sessions:
            pipeline.hset(f"session:{session.id}", mapping=_session_fields(session))
            for place, message in enumerate(session.messages):
                pipeline.hset(f"message:{message.id}", mapping=_message_fields(session, message, place))
        pipeline.execute()
        for document in documents:
            pipeline.hset(f"document:{document.id}", mapping=_document_fields(document))
        pipeline.execute()


def _session_fields(session: LegacySession) -> Fields:
    return {
        "userId": session.user_id,
        "title": session.title,
        "createdAt": session.created_at,
        "updatedAt": session.created_at + 1000 * len(session.messages),
        "messageIds": json.dumps([message.id for message in session.messages]),
        "metadata": json.dumps({"language": session.language}, ensure_ascii=False),
    }


def _message_fields(session: LegacySession, message: LegacyMessage, place: int) -> Fields:
    return {
        "sessionId": session.id,
        "role": message.role,
        "content": message.content,
        "createdAt": session.created_at + 1000 * place,
        "metadata": "{}",
    }


def _document_fields(document: LegacyDocument) -> Fields:
    return {
        "userId": document.user_id,
        "title": document.title,
        "content": document.text,
        "url": f"https://docs.python.org/3/reference/#{document.title}",
        "embedding": json.dumps(list(embedding_of(document.text))),
        "metadata": json.dumps({"source": "pydoc", "characters": len(document.text)}),
        "createdAt": document.created_at,
        "updatedAt": document.created_at,
    }


def _pieces() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield the corpus in conversations of a usual length."""
    for dialogue in dialogues():
        for start in range(0, len(dialogue.turns), _MESSAGES):
            yield dialogue.language, dialogue.subject, dialogue.turns[start : start + _MESSAGES]
