"""Marking the records that other programs write to Redis, whichever kind and layout they are of."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from chatstore.errors import ChatStoreError, ConfigurationError, UnavailableError, UnsupportedError
from chatstore.models import Kind, Mark, Side, utc_now
from chatstore.models.ownership import Users
from chatstore.redis.attribution import Attribution
from chatstore.redis.client import Client
from chatstore.redis.ground import Ground, ground_of
from chatstore.redis.journal import RedisJournal
from chatstore.redis.keys import LedgerKeys
from chatstore.redis.layouts.fields import BadFieldError
from chatstore.redis.notifications import KeyEvent, Listener, listening
from chatstore.redis.scripts import Call, Reply, run_all
from chatstore.redis.user_ids import new_user

logger = logging.getLogger(__name__)

OP = "foreign"

_SETTLED = 0.05
_IDLE = 5.0
_BATCH = 200
_NO_WRITE = frozenset({b"expired", b"evicted"})
"""What the server did by itself. A record that is gone so is no difference that a repair should mend: it would come
back to a server that had no room for it."""
_MISSED = "what other programs wrote to Redis since %s UTC was not noticed: chatstore verify finds it"


@dataclass(frozen=True, slots=True)
class Records:
    """The records of one kind in one layout.

    Attributes:
        kind: Chat or documents.
        prefix: What their keys begin with, as a function: some layouts ask the server first.
        kinds: The types of their keys, likewise.
        record_of: Returns which record a key with that prefix is of; None for none.
        ledger: The names of our own keys.
        read: Makes the call that reads one of them.
        owner: Finds in its reply whose it is.
        users: What the user ids in Redis have become: a mark names the one that the app uses now.
        adopt: Makes the call that writes down in the ledger what another program did; None where a read tells it all.
        prepare: Asks the server what the layout must know; None where it knows all.
        mixed: Whether keys of other types may have names like theirs, and are passed over.
    """

    kind: Kind
    prefix: Callable[[], bytes]
    kinds: Callable[[], Collection[str]]
    record_of: Callable[[bytes], bytes | None]
    ledger: LedgerKeys
    read: Callable[[bytes], Call]
    owner: Callable[[Reply], bytes | None]
    users: Users
    adopt: Callable[[bytes], Call] | None = None
    prepare: Callable[[Client], Awaitable[None]] | None = None
    mixed: bool = False


class ForeignWrites:
    """Marks the records that other programs write while the journal is open.

    The server tells only those who listen at the time: what is written while nobody does, or while the connection is
    being made anew, is not noticed. The log says when that may have been; `chatstore verify` finds it.

    Attributes:
        marked: How many marks were made.
        listening: Set while the server tells of writes.

    Args:
        client: The connection.
        records: Which records.
        enable: Change the server's setting where it does not tell of writes yet.
    """

    def __init__(self, client: Client, records: Records, *, enable: bool = False) -> None:
        self.marked = 0
        self.listening = asyncio.Event()
        self._client = client
        self._records = records
        self._enable = enable
        self._journal = RedisJournal(client, records.kind)
        self._attribution = Attribution()
        self._heard_at = utc_now()
        self._is_deaf = False
        self._defects: set[type[Exception]] = set()
        self._states = records.ledger.head("state")

    async def watch(self, pause: float = 1.0) -> None:
        """Notice and mark until cancelled; after an error, a server that is away say, again after `pause` seconds.

        Raises:
            UnsupportedError: The server does not tell of writes; the message says what to set.
        """
        self._heard_at = utc_now()
        while True:
            try:
                await self._listen()
            except UnsupportedError:
                raise
            except Exception as error:  # noqa: BLE001 - a defect ends no watch
                if not self._is_deaf:
                    self._complain("other programs' writes are not noticed for now", error)
                self._is_deaf = True
                self.listening.clear()
                await asyncio.sleep(pause)

    async def _listen(self) -> None:
        if self._records.prepare is not None:
            await self._records.prepare(self._client)
        prefixes = [self._records.prefix(), self._states]
        kinds = self._records.kinds()
        ground = await ground_of(self._client)
        async with AsyncExitStack() as heard:
            listeners = [
                await heard.enter_async_context(
                    listening(server, prefixes, enable=self._enable, kinds=kinds, slot=ground.slot_on(server))
                )
                for server in ground.servers
            ]
            if self._is_deaf:
                logger.warning(_MISSED, f"{self._heard_at:%Y-%m-%d %H:%M:%S}")
            self._is_deaf = False
            logger.info("%s: notices what other programs write to Redis", self._records.kind)
            self.listening.set()
            try:
                await self._follow_all(listeners, ground)
            finally:
                self._heard_at = min(listener.heard_at for listener in listeners)

    async def _follow_all(self, listeners: Sequence[Listener], ground: Ground) -> None:
        """Follow all servers, each of which tells of its own keys in their order, until one of them ends it.

        A record lies with its ledger, so what one server tells says whose write it was.
        """
        attributions = [self._attribution, *(Attribution() for _ in listeners[1:])]
        works = [self._follow(*each) for each in zip(listeners, attributions, strict=True)]
        tasks = [asyncio.create_task(work) for work in (*works, self._stay(ground))]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _stay(self, ground: Ground) -> None:
        """Return when other servers tell of some keys than those that are listened to.

        Raises:
            UnavailableError: Since the slots of a cluster have moved.
        """
        while True:
            await asyncio.sleep(_IDLE)
            if ground.shape and (await ground_of(self._client)).shape != ground.shape:
                raise UnavailableError("slots of the Redis Cluster have moved, and other nodes tell of their keys")

    def _complain(self, what: str, error: Exception) -> None:
        """Log that something failed: with the traceback of each type of defect once."""
        if isinstance(error, ChatStoreError):
            logger.warning("%s: %s", what, error)
        else:
            known = type(error) in self._defects
            self._defects.add(type(error))
            logger.warning("%s: %r", what, error, exc_info=None if known else error)

    async def _follow(self, listener: Listener, attribution: Attribution) -> None:
        unmarked = 0
        while True:
            event = await listener.event(_SETTLED if attribution.is_open else _IDLE)
            if event is not None:
                self._note(event, attribution)
                unmarked += 1
            else:
                attribution.close()
            if event is None or unmarked >= _BATCH:
                await self._mark_all(attribution)
                unmarked = 0

    def _note(self, event: KeyEvent, attribution: Attribution) -> None:
        if event.key.startswith(self._states):
            attribution.ledger_written(self._records.ledger.record_of("state", event.key))
        elif event.key.startswith(self._records.prefix()) and event.what not in _NO_WRITE:
            record_id = self._records.record_of(event.key)
            if record_id is not None:
                attribution.record_written(record_id)

    async def _mark_all(self, attribution: Attribution) -> None:
        while ids := attribution.foreign(_BATCH):
            # Asked each time: what is written while no migration is under way needs no mark.
            if (await self._journal.state()).journal_open:
                await self._mark_or_tell(ids)
            attribution.forget(ids)
        if attribution.overflowed:
            logger.warning(
                "%d records of other programs were too many to mark: chatstore verify finds them",
                attribution.overflowed,
            )
            attribution.overflowed = 0

    async def _mark_or_tell(self, ids: Sequence[bytes]) -> None:
        """Mark records; one that cannot be marked keeps none of the others from it, nor from being noticed."""
        try:
            await self._mark(ids)
        except (UnavailableError, ConfigurationError):
            raise
        except Exception as error:  # noqa: BLE001 - see above
            if len(ids) == 1:
                what = f"{self._records.kind}: {ids[0]!r} cannot be marked, chatstore verify finds it"
                self._complain(what, error)
                return
        else:
            return
        for record_id in ids:
            await self._mark_or_tell([record_id])

    async def _mark(self, ids: Sequence[bytes]) -> None:
        if self._records.mixed:
            ids = await self._of_their_type(ids)
        # First, so that a merge finds as deleted what another program took away.
        if self._records.adopt is not None:
            await run_all(self._client, [self._records.adopt(record_id) for record_id in ids])
        marks = []
        for record_id, user in zip(ids, await self._owners(ids), strict=True):
            try:
                if user:
                    now = new_user(self._records.users, user)
                    marks.append(Mark(key=record_id.decode(), user_id=now, side=Side.OLD, op=OP))
            except (BadFieldError, UnicodeDecodeError):
                # Not text, or unknown to the mapping of users, so nobody's: a backfill puts it into quarantine.
                continue
        await self._journal.add(marks)
        self.marked += len(marks)
        if marks:
            what = (
                "record that another program wrote is" if len(marks) == 1 else "records that other programs wrote are"
            )
            logger.info("%s: %d %s marked", self._records.kind, len(marks), what)

    async def _of_their_type(self, ids: Sequence[bytes]) -> list[bytes]:
        """Return those of some records that have a key of their type, or none any more."""
        fitting = {b"none", *(kind.encode() for kind in self._records.kinds())}
        kinds = await self._client.ask_all(("TYPE", self._records.prefix() + record_id) for record_id in ids)
        return [record_id for record_id, kind in zip(ids, kinds, strict=True) if kind in fitting]

    async def _owners(self, ids: Sequence[bytes]) -> list[bytes | None]:
        """Return whose each record is; None for what is nobody's. Of one that is gone, the ledger knows it."""
        replies = await run_all(self._client, [self._records.read(record_id) for record_id in ids])
        owners = [self._records.owner(reply) for reply in replies]
        kept = await self._client.ask_all(
            ("HGET", self._records.ledger.of("state", record_id), "user") for record_id in ids
        )
        return [owner or (user if isinstance(user, bytes) else None) for owner, user in zip(owners, kept, strict=True)]
