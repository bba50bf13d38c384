"""What differs between comparing sessions and comparing documents on two sides."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from typing import Generic, TypeAlias, TypeVar

from chatstore.interfaces import ChatSide, DocumentSide, Journal
from chatstore.migration.compare import Difference, compare_documents, compare_messages, compare_sessions
from chatstore.migration.counting import ChatCounter, Counter, DocumentCounter
from chatstore.migration.index_proof import Proof, prove_index, sampled
from chatstore.models import (
    ChatChange,
    Document,
    DocumentChange,
    DocumentKey,
    Kind,
    Message,
    ScanPage,
    Session,
    Side,
    has_expired,
    utc_now,
)
from chatstore.models.names import ChatKey, document_name

C = TypeVar("C")
K = TypeVar("K")
R = TypeVar("R")

ChatRecord: TypeAlias = Session | Message

# From here on one round trip for one session is cheaper than reading more than was asked for.
_MANY_MESSAGES = 300
_FEW_SESSIONS = 8


class Pair(ABC, Generic[C, K, R]):
    """Both sides of one kind: changes of type C, which hold records of type R by keys of type K.

    Attributes:
        kind: What is compared.
        journals: The old side's and the new one's.
    """

    kind: Kind
    journals: tuple[Journal, Journal]

    @abstractmethod
    def counter(self) -> Counter[C]:
        """Return a counter for one scan."""

    @abstractmethod
    async def count(self, side: Side) -> int:
        """Return how many records a side holds."""

    @abstractmethod
    def scan(self, side: Side, cursor: str | None) -> AsyncIterator[ScanPage[C]]:
        """Yield a side's pages from a cursor on."""

    @abstractmethod
    def records(self, changes: Iterable[C]) -> dict[K, R]:
        """Return what exists by these changes. What has expired does not, even where it is not swept away yet."""

    @abstractmethod
    async def read(self, side: Side, keys: Collection[K]) -> dict[K, R]:
        """Return which of some records exist on a side now; few round trips for many."""

    @abstractmethod
    def differences(self, key: K, old: R | None, new: R | None) -> list[Difference]:
        """Return what differs between two states of a record."""

    @abstractmethod
    async def prove(self, records: Sequence[R]) -> Proof:
        """Show that the new side finds some records, where it has an index beside them that may be broken."""

    @abstractmethod
    def owner(self, record: R) -> str:
        """Return whose a record is."""

    @abstractmethod
    def marked_as(self, key: K) -> str:
        """Return the key under which a mark of a record stands in the journals."""

    @abstractmethod
    def names(self, key: K) -> list[str]:
        """Return the names under which a record, or what it lies in, may stand in quarantine."""

    @abstractmethod
    def within(self, key: K) -> K | None:
        """Return the key of the record that a record lies in, and is missing with; None when it stands alone."""


class ChatPair(Pair[ChatChange, ChatKey, ChatRecord]):
    """Sessions and their messages on both sides."""

    def __init__(self, old: ChatSide, new: ChatSide) -> None:
        self.kind = Kind.CHAT
        self.journals = (old.journal, new.journal)
        self._sides = {Side.OLD: old, Side.NEW: new}

    def counter(self) -> Counter[ChatChange]:
        return ChatCounter()

    async def count(self, side: Side) -> int:
        count = await self._sides[side].count()
        return count.sessions + count.messages

    def scan(self, side: Side, cursor: str | None) -> AsyncIterator[ScanPage[ChatChange]]:
        return self._sides[side].scan(cursor)

    def records(self, changes: Iterable[ChatChange]) -> dict[ChatKey, ChatRecord]:
        now = utc_now()
        records: dict[ChatKey, ChatRecord] = {}
        for change in changes:
            if change.session is not None and not has_expired(change.session.expires_at, now):
                records[ChatKey.of(change.session)] = change.session
                lives = (message for message in change.messages if not has_expired(message.expires_at, now))
                records.update((ChatKey.of(message), message) for message in lives)
        return records

    async def read(self, side: Side, keys: Collection[ChatKey]) -> dict[ChatKey, ChatRecord]:
        wanted: dict[str, list[str]] = defaultdict(list)
        for key in keys:
            wanted[key.session_id] += [] if key.message_id is None else [key.message_id]
        alone = [name for name, ids in wanted.items() if len(wanted) <= _FEW_SESSIONS or len(ids) >= _MANY_MESSAGES]
        together = [name for name in wanted if name not in set(alone)]
        store = self._sides[side]
        fetches = [store.fetch([name], message_ids=wanted[name]) for name in alone]
        if together:
            fetches.append(store.fetch(together))
        among = set(keys)
        found: dict[ChatKey, ChatRecord] = {}
        for pages in fetches:
            async for page in pages:
                records = self.records(page.changes).items()
                found.update((key, record) for key, record in records if key in among)
        return found

    def differences(self, key: ChatKey, old: ChatRecord | None, new: ChatRecord | None) -> list[Difference]:
        if key.message_id is None:
            return compare_sessions(str(key), _as(Session, old), _as(Session, new))
        return compare_messages(str(key), _as(Message, old), _as(Message, new))

    async def prove(self, records: Sequence[ChatRecord]) -> Proof:
        del records  # Postgres reads and finds by the same means.
        return Proof()

    def owner(self, record: ChatRecord) -> str:
        return record.user_id

    def marked_as(self, key: ChatKey) -> str:
        return key.session_id

    def names(self, key: ChatKey) -> list[str]:
        # A repair that a side refuses quarantines a session as a whole, under its bare id.
        return [str(key), str(key.session), key.session_id]

    def within(self, key: ChatKey) -> ChatKey | None:
        return None if key.message_id is None else key.session


class DocumentPair(Pair[DocumentChange, DocumentKey, Document]):
    """Documents on both sides."""

    def __init__(self, old: DocumentSide, new: DocumentSide, *, proof_one_in: int) -> None:
        self.kind = Kind.DOCUMENTS
        self._proof_one_in = proof_one_in
        self.journals = (old.journal, new.journal)
        self._sides = {Side.OLD: old, Side.NEW: new}

    def counter(self) -> Counter[DocumentChange]:
        return DocumentCounter()

    async def count(self, side: Side) -> int:
        return await self._sides[side].count()

    def scan(self, side: Side, cursor: str | None) -> AsyncIterator[ScanPage[DocumentChange]]:
        return self._sides[side].scan(cursor)

    def records(self, changes: Iterable[DocumentChange]) -> dict[DocumentKey, Document]:
        now = utc_now()
        documents = (change.document for change in changes)
        return {
            document.key: document
            for document in documents
            if document is not None and not has_expired(document.expires_at, now)
        }

    async def read(self, side: Side, keys: Collection[DocumentKey]) -> dict[DocumentKey, Document]:
        return self.records((await self._sides[side].changes(tuple(keys))).changes)

    def differences(self, key: DocumentKey, old: Document | None, new: Document | None) -> list[Difference]:
        return compare_documents(document_name(key), old, new)

    async def prove(self, records: Sequence[Document]) -> Proof:
        return await prove_index(self._sides[Side.NEW], sampled(records, self._proof_one_in))

    def owner(self, record: Document) -> str:
        return record.user_id

    def marked_as(self, key: DocumentKey) -> str:
        return key.id

    def names(self, key: DocumentKey) -> list[str]:
        # A repair that a side refuses quarantines a document under its bare id.
        return [document_name(key), key.id]

    def within(self, key: DocumentKey) -> DocumentKey | None:
        del key
        return None


def _as(type_: type[R], record: object) -> R | None:
    return record if isinstance(record, type_) else None
