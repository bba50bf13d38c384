"""What became of one shadow read, and telling an app of each."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from chatstore.errors import ConfigurationError
from chatstore.models import Kind, Side, utc_now
from chatstore.routing.agreement import Agreement
from chatstore.routing.aside import Aside


class Outcome(StrEnum):
    """How a shadow read ended."""

    EQUAL = "equal"
    """Both sides answered the same."""
    MISMATCHED = "mismatched"
    """They did not, and no mark explains it."""
    PENDING = "pending"
    """They did not, and a mark says that the record is still to be merged."""
    FAILED = "failed"
    """The other side did not answer, or not in time."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A read that was repeated on the other side, and what became of it. It holds ids and no text of a record.

    Attributes:
        kind: Of which kind of record.
        operation: Which read: `last_messages`, `search`, …
        user_id: Whose.
        key: The session's or the document's id; empty for a read of many.
        served_by: The side whose answer the app got.
        records: How many records that answer has; 0 for a count of them.
        outcome: How it ended.
        detail: How the answers differ: which fields, at which place, how many. Where it failed, why. Else empty.
        served_seconds: How long the side took that served it.
        other_seconds: How long the other side took; None if it did not answer.
        agreement: Of a search that both sides answered and that found anything, how far they agree; None else.
        at: When it ended.
    """

    kind: Kind
    operation: str
    user_id: str
    key: str
    served_by: Side
    records: int
    outcome: Outcome
    detail: str
    served_seconds: float
    other_seconds: float | None
    agreement: Agreement | None = None
    at: datetime = field(default_factory=utc_now)

    def seconds(self, side: Side) -> float | None:
        """Return how long a side took; None if it did not answer."""
        return self.served_seconds if side is self.served_by else self.other_seconds


OnComparison: TypeAlias = Callable[[Comparison], object]
"""Is told of comparisons; what it returns is not looked at."""


@asynccontextmanager
async def told_aside(on_comparison: OnComparison | None) -> AsyncIterator[OnComparison | None]:
    """Give what tells a function of comparisons, in a thread of its own, so that no call waits for it; None for None.

    Raises:
        ConfigurationError: It is no function, or a coroutine function.
    """
    if on_comparison is None:
        yield None
        return
    if not callable(on_comparison) or inspect.iscoroutinefunction(on_comparison):
        raise ConfigurationError(
            "on_comparison is to be a plain function of a `Comparison`: it is called in a thread of its own, where a "
            "coroutine is not awaited; to go on in an event loop, have it call `loop.call_soon_threadsafe`"
        )
    aside = Aside(
        on_comparison,
        name="chatstore-comparisons",
        things="comparisons",
        who="on_comparison",
        does="take them",
        failed="on_comparison failed",
    )
    try:
        yield aside.hand_over
    finally:
        await aside.close()
