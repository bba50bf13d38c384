"""What differs between comparing sessions and comparing documents on two sides."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Generic, TypeAlias, TypeVar

from chatstore.interfaces import Journal
from chatstore.migration.compare import Difference
from chatstore.migration.index_proof import Proof
from chatstore.migration.probe import Ask
from chatstore.migration.reports import Tally
from chatstore.models import KeyPage, Kind, Quarantined, Side

W = TypeVar("W")
K = TypeVar("K")
R = TypeVar("R")

States: TypeAlias = tuple[R | None, R | None]
"""What the old and the new side hold; None for a record that is not there."""

Suspect: TypeAlias = Callable[[Mapping[K, States[R]]], Awaitable[None]]
"""Takes records that look different. It may wait, so that there are never too many of them in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What was compared.

    Attributes:
        old: How many records of the old side.
        new: How many records of the new side.
        quarantined: What the side whose keys these were could not read.
    """

    old: Tally = field(default_factory=Tally)
    new: Tally = field(default_factory=Tally)
    quarantined: tuple[Quarantined, ...] = ()

    def __add__(self, other: Compared) -> Compared:
        return Compared(
            old=self.old + other.old,
            new=self.new + other.new,
            quarantined=(*self.quarantined, *other.quarantined),
        )


class Pair(ABC, Generic[W, K, R]):
    """Both sides of one kind: walked by keys of type W, with records of type R in them, each by a key of type K.

    Attributes:
        kind: What is compared.
        at_once: How many keys of a walk make a batch, where nobody says otherwise.
        read_at_once: How many of these `compare` takes, at most.
        journals: The old side's and the new one's.
        loads: What asks the old side's server, and the new one's, how busy it is.
    """

    kind: ClassVar[Kind]
    at_once: ClassVar[int]
    read_at_once: ClassVar[int]
    journals: tuple[Journal, Journal]
    loads: tuple[Ask, Ask]

    @abstractmethod
    def keys(self, side: Side, cursor: str | None) -> AsyncIterator[KeyPage[W]]:
        """Yield the keys of all that a side holds, from a cursor on."""

    @abstractmethod
    async def total(self, side: Side, *, backfilled: bool) -> int:
        """Return how many records there are to compare when this side is walked, about.

        Args:
            side: Which side.
            backfilled: Whether the sides hold about the same, so that either may be asked: the new one counts faster.
        """

    @abstractmethod
    async def passed_over(self, side: Side, keys: Sequence[W]) -> Mapping[W, Tally]:
        """Return which of a side's records need not be read, each with the number of records that it is.

        When the old side is walked, those are what a digest proves to be equal. When the new side is, they are what the
        old side holds, which was compared when that was walked.
        """

    @abstractmethod
    async def compare(self, side: Side, keys: Sequence[W], suspect: Suspect[K, R]) -> Compared:
        """Compare what a side shows under some of its keys with what the other shows; few round trips for many."""

    @abstractmethod
    async def read(self, side: Side, keys: Collection[K]) -> dict[K, R]:
        """Return which of some records exist on a side now; few round trips for many."""

    @abstractmethod
    def differences(self, key: K, old: R | None, new: R | None) -> list[Difference]:
        """Return what differs between two states of a record."""

    @abstractmethod
    def holds_more(self, key: K) -> W | None:
        """Return the key under which a record lies with others that were not compared, because it was missing."""

    @abstractmethod
    async def prove(self, keys: Sequence[W]) -> Proof:
        """Show that the new side finds some of its records, where it has an index beside them that may be broken."""

    @abstractmethod
    def owner(self, record: R) -> str:
        """Return whose a record is."""

    @abstractmethod
    def marked_as(self, key: K) -> str:
        """Return the key under which a mark of a record stands in the journals."""

    @abstractmethod
    def names(self, key: K) -> list[str]:
        """Return the names under which a record, or what it lies in, may stand in quarantine."""


def in_order_of_sides(side: Side, here: R | None, there: R | None) -> States[R]:
    """Return what one side and the other one hold, the old side's first."""
    return (here, there) if side is Side.OLD else (there, here)
