"""Simulated users. Each has one device, does one thing after the other, and looks closely at what it is shown."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from random import Random

from chatstore.errors import ChatStoreError
from chatstore.models import NewDocument, NewMessage
from chatstore.routing import ChatRouter, DocumentRouter
from demo.digest import digest
from demo.ledger import Effect, LedgerWriter, StaleReadError, What
from demo.material import Dialogue, dialogues, embedding_of, texts

_KEPT_SESSIONS = 4
_KEPT_DOCUMENTS = 3
_CONTEXT = 10


class User:
    """A person with an app: chats, renames, edits, deletes, uploads and searches, until told to stop.

    Args:
        user_id: The person.
        chat: The app's chat store: which side it stands before, the user can't tell.
        documents: The app's document store; the same goes for it.
        ledger: Where every call is written down.
        random: Decides what the user does next.
        pause: Seconds between two things, on average.
    """

    def __init__(
        self,
        user_id: str,
        chat: ChatRouter,
        documents: DocumentRouter,
        ledger: LedgerWriter,
        random: Random,
        *,
        pause: float,
    ) -> None:
        self._user_id = user_id
        self._chat_store = chat
        self._document_store = documents
        self._ledger = ledger
        self._random = random
        self._pause = pause
        self._sessions: dict[str, list[str]] = {}
        self._documents: dict[str, str] = {}
        self._deleted: set[str] = set()
        self._habits: dict[Callable[[], Awaitable[None]], int] = {
            self._chat: 40,
            self._read_back: 14,
            self._look_at_list: 8,
            self._begin_session: 5,
            self._rename: 5,
            self._edit: 5,
            self._delete_messages: 4,
            self._delete_session: 2,
            self._search: 9,
            self._upload: 4,
            self._revise: 2,
            self._delete_document: 2,
        }

    async def live(self, stop: asyncio.Event) -> None:
        """Use the app until `stop`. A call that fails is in the ledger; the user shrugs, and goes on."""
        await self._open_app()
        while not stop.is_set():
            (do,) = self._random.choices(list(self._habits), list(self._habits.values()))
            try:
                await do()
            except (ChatStoreError, StaleReadError):
                await asyncio.sleep(self._pause)
            await asyncio.sleep(self._random.expovariate(1 / self._pause))

    async def _open_app(self) -> None:
        """Look at all that is there already."""
        after = None
        while True:
            with self._call("list_sessions"):
                page = await self._chat_store.list_sessions(self._user_id, after=after)
            for session in page.items:
                with self._call("messages"):
                    held = await self._chat_store.messages(self._user_id, session.id)
                self._sessions[session.id] = [message.id for message in held]
            if (after := page.next) is None:
                break
        with self._call("list_documents"):
            documents = await self._document_store.list_documents(self._user_id, limit=200)
        self._documents = {document.id: document.title for document in documents.items}

    # Chatting

    async def _chat(self) -> None:
        """One turn: ask, let the model see what was said, store its answer. All at one stage."""
        if not self._sessions:
            return await self._begin_session()
        session_id = self._some_session()
        question, answer = self._random.choice(self._some_dialogue().exchanges)
        async with self._chat_store.turn(self._user_id, session_id):
            asked = NewMessage("user", question)
            await self._append(session_id, asked)
            with self._call("last_messages"):
                context = await self._chat_store.last_messages(self._user_id, session_id, _CONTEXT)
                _expect(context[-1:] != [] and context[-1].id == asked.id, "the question is not the last message")
            await self._append(session_id, NewMessage("assistant", answer))
        return None

    async def _begin_session(self) -> None:
        session_id = f"{self._random.getrandbits(64):016x}"
        title = self._some_title()
        with self._changing_session(session_id), self._call("create_session", _session(session_id, title)):
            await self._chat_store.create_session(self._user_id, session_id=session_id, title=title)
        self._sessions[session_id] = []
        await self._append(session_id, NewMessage("user", self._some_dialogue().turns[0]))

    async def _append(self, session_id: str, message: NewMessage) -> None:
        effect = _message(session_id, message.id, message.content)
        with self._changing_session(session_id), self._call("append", effect):
            await self._chat_store.append(self._user_id, session_id, message)
        self._sessions[session_id].append(message.id)

    async def _read_back(self) -> None:
        if self._sessions:
            session_id = self._some_session()
            with self._call("messages"):
                held = await self._chat_store.messages(self._user_id, session_id)
                _expect(
                    [message.id for message in held] == self._sessions[session_id], "a session is not as it was left"
                )

    async def _look_at_list(self) -> None:
        with self._call("list_sessions"):
            page = await self._chat_store.list_sessions(self._user_id, limit=100)
            listed = {session.id for session in page.items}
            _expect(not listed & self._deleted, "a deleted session is in the list")
            _expect(set(self._sessions) <= listed, "a session is missing in the list")

    async def _rename(self) -> None:
        if self._sessions:
            session_id, title = self._some_session(), self._some_title()
            with self._changing_session(session_id), self._call("update_session", _session(session_id, title)):
                await self._chat_store.update_session(self._user_id, session_id, title=title)

    async def _edit(self) -> None:
        session_id = self._some_session() if self._sessions else ""
        if self._sessions.get(session_id):
            message_id = self._random.choice(self._sessions[session_id])
            content = f"{self._random.choice(self._some_dialogue().turns)} ({self._random.getrandbits(32):08x})"
            with self._changing_session(session_id), self._call("edit", _message(session_id, message_id, content)):
                await self._chat_store.edit_message(self._user_id, session_id, message_id, content=content)

    async def _delete_messages(self) -> None:
        session_id = self._some_session() if self._sessions else ""
        if self._sessions.get(session_id):
            doomed = self._random.sample(self._sessions[session_id], k=min(2, len(self._sessions[session_id])))
            effects = [_message(session_id, message_id, None) for message_id in doomed]
            with self._changing_session(session_id), self._call("delete_messages", *effects):
                await self._chat_store.delete_messages(self._user_id, session_id, doomed)
            self._sessions[session_id] = [name for name in self._sessions[session_id] if name not in doomed]

    async def _delete_session(self) -> None:
        if len(self._sessions) > _KEPT_SESSIONS:
            session_id = self._some_session()
            with self._changing_session(session_id), self._call("delete_session", _session(session_id, None)):
                await self._chat_store.delete_session(self._user_id, session_id)
            del self._sessions[session_id]
            self._deleted.add(session_id)

    # Documents

    async def _search(self) -> None:
        title = self._random.choice(list(texts()))
        with self._call("search"):
            matches = await self._document_store.search(self._user_id, title, k=4)
            found = {match.document.id for match in matches}
            _expect(not found & self._deleted, "a search found a deleted document")
            _expect(len(found) >= min(4, len(self._documents)), "a search found too little")

    async def _upload(self) -> None:
        title, text = self._random.choice(list(texts().items()))
        await self._write_document(f"{self._random.getrandbits(64):016x}", title, text)

    async def _revise(self) -> None:
        if self._documents:
            document_id = self._random.choice(list(self._documents))
            title, text = self._random.choice(list(texts().items()))
            await self._write_document(document_id, f"{title}, revised", text)

    async def _write_document(self, document_id: str, title: str, text: str) -> None:
        effect = Effect(what=What.DOCUMENT, id=document_id, value=digest(title, text, embedding_of(text)))
        document = NewDocument(text, id=document_id, title=title, url=f"upload://{title}")
        with self._changing_document(document_id), self._call("upsert", effect):
            await self._document_store.upsert(self._user_id, document)
        self._documents[document_id] = title

    async def _delete_document(self) -> None:
        if len(self._documents) > _KEPT_DOCUMENTS:
            document_id = self._random.choice(list(self._documents))
            effect = Effect(what=What.DOCUMENT, id=document_id, value=None)
            with self._changing_document(document_id), self._call("delete", effect):
                await self._document_store.delete(self._user_id, [document_id])
            del self._documents[document_id]
            self._deleted.add(document_id)

    # What the user remembers

    @contextmanager
    def _changing_session(self, session_id: str) -> Iterator[None]:
        """Forget a session when a change of it fails: then nobody knows what is in it, and it is left alone."""
        try:
            yield
        except BaseException:
            self._sessions.pop(session_id, None)
            raise

    @contextmanager
    def _changing_document(self, document_id: str) -> Iterator[None]:
        """As `_changing_session`, with a document."""
        try:
            yield
        except BaseException:
            self._documents.pop(document_id, None)
            raise

    @contextmanager
    def _call(self, name: str, *effects: Effect) -> Iterator[None]:
        with self._ledger.call(name, self._user_id, self._user_id, effects):
            yield

    def _some_session(self) -> str:
        return self._random.choice(list(self._sessions))

    def _some_title(self) -> str:
        return f"{self._some_dialogue().subject} {self._random.getrandbits(32):08x}"

    def _some_dialogue(self) -> Dialogue:
        return self._random.choice(dialogues())


def _session(session_id: str, title: str | None) -> Effect:
    return Effect(what=What.SESSION, id=session_id, value=title)


def _message(session_id: str, message_id: str, content: str | None) -> Effect:
    return Effect(what=What.MESSAGE, id=message_id, value=content, session_id=session_id)


def _expect(as_written: bool, complaint: str) -> None:  # noqa: FBT001 - it is what an assertion takes
    """Raise if a read does not show what its user wrote."""
    if not as_written:
        raise StaleReadError(complaint)
