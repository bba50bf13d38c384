"""The journal of a side: its marks, and what is remembered of the migration beside them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from chatstore.models import Backlog, Mark, MigrationState, Stage


class Journal(ABC):
    """The durable marks of the writes that reached this side first. One journal is of one kind, chat or documents.

    Most marks are not made here but by the side's `write`, in the step that writes the record.
    """

    @abstractmethod
    async def add(self, marks: Sequence[Mark]) -> None:
        """Make marks durable; one round trip for many. Those with `while_open` only if the journal is open."""

    @abstractmethod
    async def clear(self, marks: Sequence[Mark]) -> None:
        """Remove marks by their tokens; those that are gone already are passed over. One round trip for many."""

    @abstractmethod
    async def clear_alone(self, marks: Sequence[Mark], own: Sequence[Mark] = ()) -> Sequence[Mark]:
        """Remove those of `marks` on whose keys no foreign mark stands; return the ones that were left.

        A mark is foreign unless it is one of `marks` or `own`. This is what makes a side without conditional writes
        safe: whoever works on a key announces it by a mark before and looks for others after, so of two who work at
        the same time at least one sees the other, leaves its mark, and the key is merged again.
        """

    @abstractmethod
    async def marks(self, *, limit: int, after: Mark | None = None) -> Sequence[Mark]:
        """Return marks, oldest first (by `at`, then `token`).

        Args:
            limit: At most how many.
            after: Only those behind this mark, which may be gone by now; from the oldest when None.
        """

    async def walk(self, *, until: datetime, page: int, one_sided: bool = True) -> AsyncIterator[Sequence[Mark]]:
        """Yield marks, `page` of them at a time: at least each that was made by `until` and stands all the time.

        Marks may be cleared meanwhile, and new ones made: it comes to an end all the same.

        Args:
            until: See above.
            page: How many at a time, about. They come oldest first where the server can sort.
            one_sided: False when those with `while_open` are of no interest: they may then be left out.
        """
        after: Mark | None = None
        while found := await self.marks(limit=page, after=after):
            yield found if one_sided else [mark for mark in found if not mark.while_open]
            after = found[-1]
            # Behind a mark that was made since, only younger ones are left: an app that writes makes them without end.
            if after.at > until:
                return

    @abstractmethod
    async def marks_of(self, user_id: str, keys: Sequence[str] | None = None) -> Sequence[Mark]:
        """Return a user's marks, all or those on some keys; one round trip."""

    @abstractmethod
    async def backlog(self) -> Backlog:
        """Return how many marks there are, and how old the oldest is."""

    @abstractmethod
    async def state(self) -> MigrationState:
        """Return what is remembered of the migration; the defaults when nothing is."""

    @abstractmethod
    async def remember(
        self,
        *,
        journal_open: bool | None = None,
        backfilled_at: datetime | None = None,
        verified_at: datetime | None = None,
        differed_at: datetime | None = None,
        stage: Stage | None = None,
        way_back_closed: bool | None = None,
    ) -> None:
        """Remember these fields of the state and leave those that are None as they are.

        When `journal_open` turns true, every one-sided write that begins later leaves its mark.
        """

    @abstractmethod
    async def forget_state(self) -> None:
        """Remember nothing of the migration any more: the state is the default again. Marks stay."""
