"""A document side that compares and writes in two steps, as Chroma does: the scheduler may run others in between."""

import asyncio
from datetime import UTC, datetime, timedelta

from chatstore.chroma.exclusion import Exclusion, WorkUnderWay
from chatstore.errors import BusyError
from chatstore.models import Side, UpsertDocuments, new_token
from chatstore.testing import MemoryDocuments, MemoryJournal


class SteppingJournal(MemoryJournal):
    """Every call is a suspension before and after, as over a network."""

    async def add(self, marks):
        await asyncio.sleep(0)
        await super().add(marks)
        await asyncio.sleep(0)

    async def clear_alone(self, marks, own=()):
        """Looks and clears in two steps."""
        await asyncio.sleep(0)
        known = {mark.token for mark in (*marks, *own)}
        contested = {(m.user_id, m.key) for m in self._marks.values() if m.token not in known}
        await asyncio.sleep(0)
        left = [mark for mark in marks if (mark.user_id, mark.key) in contested]
        for mark in marks:
            if mark not in left:
                self._marks.pop(mark.token, None)
        await asyncio.sleep(0)
        return left


class SteppingWork(WorkUnderWay):
    """Who is at work, asked over a network."""

    def __init__(self, journal):
        self._journal = journal
        self._until = {}

    async def marks_on(self, keys):
        await asyncio.sleep(0)
        found = list(self._journal._marks.values())
        await asyncio.sleep(0)
        return found

    async def announce(self, documents, until):
        await asyncio.sleep(0)
        [(user_id, ids)] = documents.items()
        name = new_token()
        self._until[name] = (user_id, set(ids), until)
        await asyncio.sleep(0)
        return [name]

    async def withdraw(self, names):
        await asyncio.sleep(0)
        for name in names:
            del self._until[name]
        await asyncio.sleep(0)

    async def joins_until(self, user_id, *ids):
        await asyncio.sleep(0)
        times = [until for owner, named, until in self._until.values() if owner == user_id and named & set(ids)]
        await asyncio.sleep(0)
        return max(times, default=None)


class TwoStepDocuments(MemoryDocuments):
    """Reads the held state, is suspended, then writes without looking again. `late` moves the clock of its leases."""

    def __init__(self):
        super().__init__(Side.NEW)
        self.atomic = False
        self.journal = SteppingJournal()
        self.work = SteppingWork(self.journal)
        self.late = timedelta(0)

    def exclusion(self):
        """What one process has to keep its writes and joins apart from those of the others."""
        return Exclusion(self.work, now=lambda: datetime.now(UTC) + self.late, pause=lambda: asyncio.sleep(0))

    async def write(self, command, marks=()):
        await self.journal.add(marks)
        ids = [new.id for new in command.documents] if isinstance(command, UpsertDocuments) else command.ids
        try:
            async with self.exclusion().writing(command.user_id, ids, marked=bool(marks)):
                before = dict(self._states)
                await asyncio.sleep(0)
                written = await self._apart(before, lambda apart: apart.write(command))
        except BusyError:
            await self.journal.clear(marks)
            raise
        await asyncio.sleep(0)
        return written

    async def put(self, changes):
        await self.exclusion().join(changes, self._put)

    async def _put(self, changes):
        before = dict(self._states)
        await asyncio.sleep(0)
        await self._apart(before, lambda apart: apart.put(changes))
        await asyncio.sleep(0)

    async def _apart(self, before, act):
        """Do to a copy of what was read before, and write what it changed over whatever is there now."""
        apart = MemoryDocuments(Side.NEW)
        apart._states = dict(before)
        result = await act(apart)
        self._states.update({key: state for key, state in apart._states.items() if before.get(key) is not state})
        return result
