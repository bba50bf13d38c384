"""What is seen of the migration at the bottom of the page: the stage, the marks, and what the shadow reads found."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter, Request
from pydantic import BaseModel

from chatstore.models import Backlog, Kind, Side, Stage
from chatstore.routing import ChatRouter, Comparison, DocumentRouter, Outcome
from chatstore.stores import Stores
from examples.app.identity import User

_USERS = 10_000

router = APIRouter(prefix="/api", tags=["migration"])


class LastComparisons:
    """The last shadow read of each kind of each user who was here lately."""

    def __init__(self) -> None:
        self._last: dict[tuple[Kind, str], Comparison] = {}

    def keep(self, comparison: Comparison) -> None:
        """Keep a comparison: what `chatstore.open` is given as `on_comparison`, and calls from one thread."""
        whose = comparison.kind, comparison.user_id
        self._last.pop(whose, None)
        if len(self._last) >= _USERS:
            self._last.pop(next(iter(self._last)))
        self._last[whose] = comparison

    def of(self, kind: Kind, user_id: str) -> Comparison | None:
        """Return a user's last one; None where there was none."""
        return self._last.get((kind, user_id))


class ComparisonShape(BaseModel):
    """A read of the user's that was repeated on the other side.

    Attributes:
        operation: Which read.
        records: How many records the user got.
        outcome: `equal`, `mismatched`, `pending` or `failed`.
        detail: Where the answers differ, in no user's words.
        old_ms: How long Redis took; None if it did not answer.
        new_ms: How long the new side took.
        seconds_ago: When that was.
    """

    operation: str
    records: int
    outcome: Outcome
    detail: str
    old_ms: float | None
    new_ms: float | None
    seconds_ago: float

    @classmethod
    def of(cls, comparison: Comparison) -> ComparisonShape:
        return cls(
            operation=comparison.operation,
            records=comparison.records,
            outcome=comparison.outcome,
            # Of one that failed it is an error's text, which names hosts.
            detail="" if comparison.outcome is Outcome.FAILED else comparison.detail,
            old_ms=_ms(comparison.seconds(Side.OLD)),
            new_ms=_ms(comparison.seconds(Side.NEW)),
            seconds_ago=(datetime.now(UTC) - comparison.at).total_seconds(),
        )


class KindShape(BaseModel):
    """How far one kind is moved.

    Attributes:
        stage: At which stage this user is served; None where there is one side only, and so no stage.
        marks: On how many records the sides may still differ, over all users.
        oldest_mark_seconds: Since when the oldest of them does.
        compared: What became of the shadow reads, since this process began: how many were `equal`, `mismatched`, …
        last: The last of them that was this user's; None where there was none.
    """

    stage: Stage | None = None
    marks: int = 0
    oldest_mark_seconds: float | None = None
    compared: dict[str, int] | None = None
    last: ComparisonShape | None = None


@router.get("/migration")
async def migration(request: Request, user: User) -> dict[Kind, KindShape]:
    """Tell how far chats and documents are moved. It names no record and no other user."""
    stores: Stores = request.app.state.stores
    comparisons: LastComparisons = request.app.state.comparisons
    backlog = await stores.backlog()
    return {
        kind: await _kind(store, backlog.get(kind), user.user_id, comparisons.of(kind, user.user_id))
        for kind, store in ((Kind.CHAT, stores.chat), (Kind.DOCUMENTS, stores.documents))
    }


async def _kind(store: object, backlog: Backlog | None, user_id: str, last: Comparison | None) -> KindShape:
    if not isinstance(store, ChatRouter | DocumentRouter) or backlog is None:
        return KindShape()
    async with store.turn(user_id) as stage:
        pass
    since = None if backlog.oldest is None else (datetime.now(UTC) - backlog.oldest).total_seconds()
    counts = store.shadow.counts
    return KindShape(
        stage=stage,
        marks=backlog.marks,
        oldest_mark_seconds=since,
        compared={outcome.value: getattr(counts, outcome.value) for outcome in Outcome} | {"dropped": counts.dropped},
        last=None if last is None else ComparisonShape.of(last),
    )


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000
