"""What a migration run writes down so that another can go on: its lease, its checkpoint, its quarantine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence

from chatstore.models import Quarantined


class Progress(ABC):
    """The durable record of one kind's migration runs. Only the holder of the lease moves its checkpoints."""

    @abstractmethod
    async def acquire(self, holder: str, seconds: float) -> None:
        """Take the lease, or renew it, for `seconds`.

        Raises:
            LeaseLostError: Another holder has it; the message says who, and for how long yet.
        """

    @abstractmethod
    async def release(self, holder: str) -> None:
        """Give the lease back; nothing happens when it is another's."""

    @abstractmethod
    async def holder(self) -> str | None:
        """Return who holds the lease; None when nobody does."""

    @abstractmethod
    async def limits(self) -> str | None:
        """Return what an operator limits the runs to, as it was set; None when nothing is limited."""

    @abstractmethod
    async def set_limits(self, limits: str | None) -> None:
        """Limit the run that is under way, and those that come (None: no more). Anybody may, without the lease."""

    @abstractmethod
    async def checkpoint(self, run: str) -> str | None:
        """Return the checkpoint of the run named `run` (a backfill, say); None when there is none."""

    @abstractmethod
    async def save_checkpoint(self, run: str, checkpoint: str | None, holder: str) -> None:
        """Move the checkpoint (None: remove it), in the same atomic step in which the lease is looked at.

        Raises:
            LeaseLostError: `holder` does not hold the lease any more; nothing was written.
        """

    @abstractmethod
    async def report(self, run: str) -> str | None:
        """Return what the run named `run` told of itself last; None when that has run out, or there is no such run."""

    @abstractmethod
    async def save_report(self, run: str, report: str | None, *, holder: str | None, seconds: float) -> None:
        """Keep what a run tells of itself for `seconds` (None: forget it), for who asks from another process.

        Args:
            run: The run's name.
            report: What it tells.
            holder: Who must hold the lease, in the same atomic step; None: a run that needs none.
            seconds: When it runs out, by the server's clock.

        Raises:
            LeaseLostError: `holder` does not hold the lease any more; nothing was written.
        """

    @abstractmethod
    async def quarantine(self, records: Sequence[Quarantined]) -> None:
        """Keep records, by key: one that is there already is replaced. One round trip for many."""

    @abstractmethod
    def quarantined(self) -> AsyncIterator[Quarantined]:
        """Yield what is in quarantine, in bounded memory, in no certain order."""

    @abstractmethod
    async def count_quarantined(self) -> int:
        """Return how many records are in quarantine."""

    @abstractmethod
    async def release_quarantined(self, keys: Sequence[str]) -> None:
        """Forget quarantined records, when they could be taken after all."""
