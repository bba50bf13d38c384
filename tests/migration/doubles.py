"""Stand-ins for what a migration meets: a world that is watched, one that dies, one that refuses, one that is slow."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from chatstore.errors import InvalidRecordError
from chatstore.models import (
    AppendMessages,
    ChatChange,
    CreateSession,
    DeleteDocuments,
    Document,
    DocumentChange,
    DocumentKey,
    Embedding,
    Mark,
    Message,
    NewDocument,
    NewMessage,
    Session,
    Side,
    UpsertDocuments,
)
from chatstore.testing import MemoryChat, MemoryDocuments, MemoryProgress

WRITTEN_AT = datetime(2024, 5, 1, 12, tzinfo=UTC)


class Watched:
    """Stands before a store, a journal or a progress record and tells of every call, before and after it."""

    def __init__(self, inner: Any, told: Callable[[str, str], Awaitable[None]]) -> None:
        self._inner = inner
        self._told = told
        if hasattr(inner, "journal"):
            self.journal = Watched(inner.journal, told)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if inspect.isasyncgenfunction(found):
            return self._watched_scan(name, found)
        return self._watched_call(name, found) if inspect.iscoroutinefunction(found) else found

    def _watched_scan(self, name: str, found: Any) -> Any:
        async def scan(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            await self._told(name, "before")
            async for page in found(*args, **kwargs):
                await self._told(name, "page")
                yield page

        return scan

    def _watched_call(self, name: str, found: Any) -> Any:
        async def call(*args: Any, **kwargs: Any) -> Any:
            await self._told(name, "before")
            result = await found(*args, **kwargs)
            await self._told(name, "after")
            return result

        return call


class KilledError(BaseException):
    """The process is no more."""


class Life:
    """Ends at the n-th moment that it is told of; from then on every call fails, as for a process that is gone."""

    def __init__(self, moments: int) -> None:
        self.left = moments

    async def told(self, _name: str, _moment: str) -> None:
        await asyncio.sleep(0)
        self.left -= 1
        if self.left <= 0:
            raise KilledError


@dataclass
class Once:
    """Does something the first time that a certain call is told of."""

    name: str
    moment: str
    action: Callable[[], Awaitable[Any]]
    after: int = 0
    done: bool = False

    async def told(self, name: str, moment: str) -> None:
        await asyncio.sleep(0)
        if self.done or (name, moment) != (self.name, self.moment):
            return
        if self.after:
            self.after -= 1
            return
        self.done = True
        await self.action()


@dataclass
class ChatWorld:
    """Two sides in memory, and a repair between them."""

    old: MemoryChat = field(default_factory=lambda: MemoryChat(Side.OLD))
    new: MemoryChat = field(default_factory=lambda: MemoryChat(Side.NEW))
    progress: MemoryProgress = field(default_factory=MemoryProgress)

    async def repair(self, marks: Sequence[Mark] | None = None) -> None:
        for journal in (self.old.journal, self.new.journal):
            for mark in await journal.marks(limit=10_000):
                if marks is not None and mark not in marks:
                    continue
                for source, target in ((self.old, self.new), (self.new, self.old)):
                    await target.put([change async for page in source.fetch([mark.key]) for change in page.changes])
                await journal.clear([mark])

    async def write(self, side: MemoryChat, command: Any) -> None:
        """Write to one side only, as the stages `off` and `complete` do."""
        mark = Mark(key=command.session_id, user_id=command.user_id, side=side.side, op=command.op, while_open=True)
        await side.write(command, mark)

    async def write_both(self, command: Any) -> None:
        """Write to the old side and then to the new one, as the stage `dualwrite` does."""
        mark = Mark(key=command.session_id, user_id=command.user_id, side=Side.OLD, op=command.op)
        written = await self.old.write(command, mark)
        if written.change is not None:
            await asyncio.sleep(0)
            await self.new.put([written.change])
            await self.old.journal.clear([mark])


@dataclass
class DocumentWorld:
    """Two sides in memory, and a repair between them."""

    old: MemoryDocuments = field(default_factory=lambda: MemoryDocuments(Side.OLD))
    new: MemoryDocuments = field(default_factory=lambda: MemoryDocuments(Side.NEW))
    progress: MemoryProgress = field(default_factory=MemoryProgress)

    async def repair(self, marks: Sequence[Mark] | None = None) -> None:
        for journal in (self.old.journal, self.new.journal):
            for mark in await journal.marks(limit=10_000):
                if marks is not None and mark not in marks:
                    continue
                key = DocumentKey(mark.user_id, mark.key)
                for source, target in ((self.old, self.new), (self.new, self.old)):
                    await target.put((await source.changes([key])).changes)
                await journal.clear([mark])

    async def write(self, side: MemoryDocuments, command: UpsertDocuments | DeleteDocuments) -> None:
        """Write to one side only, as the stages `off` and `complete` do."""
        ids = command.ids if isinstance(command, DeleteDocuments) else [d.id for d in command.documents]
        marks = [
            Mark(key=name, user_id=command.user_id, side=side.side, op=command.op, while_open=True) for name in ids
        ]
        await side.write(command, marks)


class TwoStepDocuments(MemoryDocuments):
    """A side that reads, is interrupted, and then writes: a late put can undo a newer one, as on Chroma."""

    def __init__(self, side: Side) -> None:
        super().__init__(side)
        self.atomic = False
        self.between: Callable[[], Awaitable[None]] | None = None

    async def put(self, changes: Sequence[DocumentChange]) -> None:
        seen = dict(self._states)
        if self.between is not None:
            between, self.between = self.between, None
            await between()
        now, self._states = self._states, seen
        await super().put(changes)
        self._states = {**now, **{change.key.id: self._states[change.key.id] for change in changes}}


class PickyChat(MemoryChat):
    """A side that refuses sessions and messages whose title or content says `bad`."""

    async def put(self, changes: Sequence[ChatChange]) -> None:
        for change in changes:
            if change.session is not None and change.session.title == "bad":
                raise InvalidRecordError("the title is bad")
            if any(message.content == "bad" for message in change.messages):
                raise InvalidRecordError("the content is bad")
            await super().put([change])


class PickyDocuments(MemoryDocuments):
    """A side that refuses documents whose text is `bad`."""

    async def put(self, changes: Sequence[DocumentChange]) -> None:
        for change in changes:
            if change.document is not None and change.document.text == "bad":
                raise InvalidRecordError("the text is bad")
            await super().put([change])


def legacy_session(name: str, *contents: str, title: str = "") -> ChatChange:
    """Return a session as it was before chatstore, its messages numbered from 0."""
    session = Session(
        id=name, user_id="u", title=title, created_at=WRITTEN_AT, updated_at=WRITTEN_AT, version=1_714_564_800_000_000
    )
    messages = tuple(
        Message(
            id=f"m{position}",
            session_id=name,
            user_id="u",
            position=position,
            role="user",
            content=content,
            created_at=WRITTEN_AT + timedelta(seconds=position),
        )
        for position, content in enumerate(contents)
    )
    return ChatChange(session_id=name, user_id="u", session=session, messages=messages)


def legacy_document(name: str, text: str = "text", *numbers: float, user: str = "u") -> DocumentChange:
    """Return a document as it was before chatstore."""
    document = Document(
        id=name,
        user_id=user,
        text=text,
        embedding=Embedding.of(numbers or (1.0, 2.0, float(len(text)))),
        created_at=WRITTEN_AT,
        updated_at=WRITTEN_AT,
        version=1_714_564_800_000_000,
    )
    return DocumentChange(key=document.key, document=document)


def create(name: str, title: str = "") -> CreateSession:
    return CreateSession(user_id="u", session_id=name, title=title)


def append(name: str, *contents: str) -> AppendMessages:
    messages = tuple(NewMessage("user", content) for content in contents)
    return AppendMessages(user_id="u", session_id=name, messages=messages)


def upsert(name: str, text: str) -> UpsertDocuments:
    return UpsertDocuments(
        user_id="u", documents=(NewDocument(text, id=name, embedding=Embedding.of([0.5, 1.0, 2.0])),)
    )


async def chat_content(side: Any) -> dict[Any, Any]:
    """Return all that a side shows of its sessions and messages, but the versions."""
    held: dict[Any, Any] = {}
    async for page in side.scan():
        for change in page.changes:
            held[change.session_id] = replace(change.session, version=0)
            held.update({(m.session_id, m.id): replace(m, version=0) for m in change.messages})
    return held


async def document_content(side: Any) -> dict[Any, Any]:
    """Return all that a side shows of its documents, but the versions."""
    return {change.key: replace(change.document, version=0) async for page in side.scan() for change in page.changes}
