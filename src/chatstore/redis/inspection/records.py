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
from chatstore.redis.layouts.layout import ChatLayout, DocumentLayout
from chatstore.redis.session_calls import SessionCalls
from chatstore.redis.session_ids import SessionIds
from chatstore.redis.session_scan import SessionScan

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
        self._scan = SessionScan(reader, SessionCalls(layout, users), SessionIds(reader, layout))

    async def look_for_lost(self, met: Sequence[Met]) -> None:
        """Look whether the sessions of some messages list them."""
        orphans = self._layout.orphans
        if orphans is not None and self.refusal is None:
            keys = [one.key for one in met if one.key.startswith(orphans.prefix)]
            self.learned.lost(await self._scan.preview_orphans(orphans, keys))

    async def _read(self, ids: Sequence[bytes]) -> None:
        async for part in self._scan.preview(ids, self._messages):
            self.learned.chat_part(self._layout, part)

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
        """Return the ids of the documents of a vector set: all, or so many of them by chance."""
        if at_most is not None:
            return list(await self._reader.ask("VRANDMEMBER", self._layout.prefix, at_most))
        return [one async for page in self._layout.walk(self._reader, None, _NAMES) for one in page.ids]

    async def _read(self, ids: Sequence[bytes]) -> None:
        page: ScanPage[DocumentChange] = await self._store.preview(ids)
        self.learned.document_page(self._layout, page)

    async def _ask_whether_it_is_there(self) -> None:
        await self._reader.ask("TIME")

    def _key(self, record_id: bytes) -> bytes:
        return self._layout.place(record_id)
