"""The two stores that a router stands before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from chatstore.interfaces import ChatSide, DocumentSide
from chatstore.models import Side

S = TypeVar("S", bound=ChatSide | DocumentSide)


@dataclass(frozen=True, slots=True)
class Sides(Generic[S]):
    """A store of each side: `sides[Side.OLD]` is Redis."""

    old: S
    new: S

    def __getitem__(self, side: Side) -> S:
        return self.old if side is Side.OLD else self.new

    async def close(self) -> None:
        """Close both."""
        await self.old.close()
        await self.new.close()
