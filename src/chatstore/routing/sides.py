"""The two stores that a router stands before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from chatstore.interfaces import ChatSide, DocumentSide
from chatstore.models import Backlog, Side

if TYPE_CHECKING:
    from chatstore.identity import UserToken

S = TypeVar("S", bound=ChatSide | DocumentSide)


@dataclass(frozen=True, slots=True)
class Sides(Generic[S]):
    """A store of each side: `sides[Side.OLD]` is Redis."""

    old: S
    new: S

    def __getitem__(self, side: Side) -> S:
        return self.old if side is Side.OLD else self.new

    def for_user(self, token: UserToken) -> Sides[S]:
        """Return both for calls that are made with a user's own token."""
        old, new = self.old.for_user(token), self.new.for_user(token)
        return Sides(old, new)  # type: ignore[arg-type] # each returns its own kind

    async def backlog(self) -> Backlog:
        """Return how far the two are apart: what both journals mark together.

        Raises:
            UnavailableError: One of them did not answer.
        """
        found = [await self[side].journal.backlog() for side in Side]
        return Backlog(
            sum(backlog.marks for backlog in found),
            min((backlog.oldest for backlog in found if backlog.oldest is not None), default=None),
        )

    async def close(self) -> None:
        """Close both."""
        await self.old.close()
        await self.new.close()
