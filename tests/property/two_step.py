"""A document side that compares and writes in two steps, as Chroma does: the scheduler may run others in between."""

import asyncio

from chatstore.models import Side
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


class TwoStepDocuments(MemoryDocuments):
    """Reads the held state, is suspended, then writes without looking again."""

    def __init__(self):
        super().__init__(Side.NEW)
        self.atomic = False
        self.journal = SteppingJournal()

    async def write(self, command, marks=()):
        await self.journal.add(marks)
        before = dict(self._states)
        await asyncio.sleep(0)
        written = await self._apart(before, lambda apart: apart.write(command))
        await asyncio.sleep(0)
        return written

    async def put(self, changes):
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
