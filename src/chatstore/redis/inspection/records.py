"""Reading records as a migration would, with its own readers, and writing nothing down."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence

from chatstore.errors import ConfigurationError, UnavailableError
from chatstore.models import DocumentChange, ScanPage
from chatstore.models.ownership import Owners, Users
from chatstore.redis.documents import RedisDocuments
from chatstore.redis.failures import printable
from chatstore.redis.inspection.learning import Learned
from chatstore.redis.inspection.peeking import Met
from chatstore.redis.inspection.reading import Reader
from chatstore.redis.keyed_sessions import KeyedSessionIds, session_ids
from chatstore.redis.layouts.layout import ChatLayout, DocumentLayout
from chatstore.redis.orphans import OrphanSearch
from chatstore.redis.session_calls import SessionCalls
from chatstore.redis.session_scan import Preview, SessionScan

_AT_ONCE = 20
_NAMES = 1000


class Somebody(Owners):
    """Gives every record to one user, so that it can be read where nobody says yet whose it is."""

    def owner_of(self, key: str) -> str:
        del key
        return "somebody"


class RecordReader(ABC):
    """Reads the records of one group.

    Args:
        learned: What learns from them.

    Attributes:
        refusal: Why the records cannot be read at all; None as long as they can.
    """

    def __init__(self, learned: Learned) -> None:
        self.learned = learned
        self.refusal: str | None = None

    async def read(self, ids: Sequence[bytes]) -> None:
        """Read some records, and learn from them.

        Raises:
            UnavailableError: The server does not answer.
        """
        begun = time.monotonic()
        for start in range(0, len(ids), _AT_ONCE):
            if self.refusal is None:
                await self._some(ids[start : start + _AT_ONCE])
        self.learned.seconds += time.monotonic() - begun

    async def _some(self, ids: Sequence[bytes]) -> None:
        try:
            await self._read(ids)
        except ConfigurationError as error:
            self.refusal = str(error)
        except UnavailableError as error:
            if len(ids) > 1:
                # One that the server cannot do must not hide the others.
                for one in ids:
                    await self._some([one])
            else:
                await self._ask_whether_it_is_there()
                self.learned.failed(str(error), printable(self._key(ids[0])))

    @abstractmethod
    async def _read(self, ids: Sequence[bytes]) -> None: ...

    @abstractmethod
    async def _ask_whether_it_is_there(self) -> None: ...

    @abstractmethod
    def _key(self, record_id: bytes) -> bytes: ...


class ChatReader(RecordReader):
    """Reads sessions with the first of their messages.

    Args:
        reader: The connection.
        layout: Whose.
        users: What the user ids in Redis have become.
        learned: As of `RecordReader`.
        messages: How many messages of a session are read at most.
    """

    def __init__(
        self, reader: Reader, layout: ChatLayout, users: Users | None, learned: Learned, *, messages: int
    ) -> None:
        super().__init__(learned)
        self._reader = reader
        self._layout = layout
        self._messages = messages
        calls = SessionCalls(layout, users, cluster=reader.is_cluster)
        self._ids = session_ids(reader, calls)
        self._scan = SessionScan(reader, calls)
        self._orphans = None if layout.orphans is None else OrphanSearch(reader, layout.prefix, layout.orphans)
        self._expected: dict[bytes, dict[str, Met]] = {}

    async def look_for_lost(self, met: Sequence[Met]) -> None:
        """Look whether the sessions of some messages list them."""
        orphans = self._layout.orphans
        if orphans is not None and self._orphans is not None and self.refusal is None:
            keys = [one.key for one in met if one.key.startswith(orphans.prefix)]
            self.learned.lost(await self._orphans.of(keys))

    async def sessions_of(self, met: Sequence[Met]) -> list[bytes]:
        """Return the sessions whose messages some keys are, where only messages have keys; what is none is learned."""
        assert isinstance(self._ids, KeyedSessionIds)  # noqa: S101 - it is asked of such layouts only
        by_key = {one.key: one for one in met}
        messages, lost = await self._ids.told(list(by_key))
        self.learned.lost(lost)
        for session_id, names in messages.items():
            expected = self._expected.setdefault(session_id, {})
            for name in names:
                found = by_key.get(self._layout.message_key(session_id, name))
                if found is not None:
                    expected[printable(name)] = found
        return list(messages)

    async def read(self, ids: Sequence[bytes]) -> None:
        await super().read(ids)
        self._expected = {}

    async def _read(self, ids: Sequence[bytes]) -> None:
        places = iter(ids)
        session_id = b""
        async for part in self._scan.preview(ids, self._messages):
            session_id = next(places) if part.is_first else session_id
            self.learned.chat_part(self._layout, part)
            self._look_for_unindexed(session_id, part)

    def _look_for_unindexed(self, session_id: bytes, part: Preview) -> None:
        """Learn of the messages of a session that were met, and that the search index did not give."""
        expected = self._expected.get(session_id, {})
        if expected and part.is_first and not part.page.changes and not part.page.quarantined:
            self.learned.read += 1
        for change in part.page.changes:
            for message in change.messages:
                expected.pop(message.id, None)
        bad = {record.key for record in part.page.quarantined}
        if part.is_last and not part.is_cut:
            for name, met in expected.items():
                if printable(met.key) not in bad:
                    self.learned.unindexed(self._layout, met, session_id, name.encode())

    async def _ask_whether_it_is_there(self) -> None:
        await self._reader.ask("TIME")

    def _key(self, record_id: bytes) -> bytes:
        return self._layout.prefix + record_id


class DocumentReader(RecordReader):
    """Reads documents.

    Args:
        reader: The connection.
        layout: Whose; prepared.
        users: What the user ids in Redis have become.
        learned: As of `RecordReader`.
    """

    def __init__(self, reader: Reader, layout: DocumentLayout, users: Users | None, learned: Learned) -> None:
        super().__init__(learned)
        self._reader = reader
        self._layout = layout
        self._store = RedisDocuments(reader, layout, users=users)

    async def elements(self, at_most: int | None) -> list[bytes]:
        """Return the ids of the documents of a vector set: all, or so many by chance; none where nobody may ask."""
        try:
            if at_most is not None:
                return list(await self._reader.ask("VRANDMEMBER", self._layout.prefix, at_most) or ())
            return [one async for page in self._layout.walk(self._reader, None, _NAMES) for one in page.ids]
        except ConfigurationError as error:
            self.refusal = str(error)
            return []

    async def _read(self, ids: Sequence[bytes]) -> None:
        page: ScanPage[DocumentChange] = await self._store.preview(ids)
        self.learned.document_page(self._layout, page)

    async def _ask_whether_it_is_there(self) -> None:
        await self._reader.ask("TIME")

    def _key(self, record_id: bytes) -> bytes:
        return self._layout.place(record_id)
