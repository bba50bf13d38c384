"""Shadow reads: a read repeated on the other side and compared, off the caller's path."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from chatstore.errors import ChatStoreError, NotFoundError, UnavailableError
from chatstore.models import Document, Kind, Match, Message, Page, Session, Side, same_expiry
from chatstore.routing.agreement import Agreement, SearchTolerance, agreement
from chatstore.routing.comparison import Comparison, OnComparison, Outcome
from chatstore.routing.in_time import InTime

logger = logging.getLogger("chatstore.routing")

Answer: TypeAlias = (
    Session | Document | int | Sequence[Message] | Sequence[Document] | Sequence[Match] | Page[Session] | Page[Document]
)
"""What a read answers."""
_LOOKS = 4
_CERTAIN = 2
"""How often in a row a difference must be found that no mark explains."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A difference that a shadow read found, and found again when it looked a second time.

    Attributes:
        operation: Which read.
        user_id: Whose.
        key: The session's or the document's id; empty for a read of many.
        detail: How the answers differ, without their content.
    """

    operation: str
    user_id: str
    key: str
    detail: str


@dataclass(frozen=True, slots=True)
class ShadowRead:
    """A shadow read that is to be made.

    Attributes:
        read: What is compared, with an empty `detail`.
        kind: Of which kind of record.
        served: What the app got.
        served_by: From which side.
        other: Repeats the read on the other side.
        again: Repeats it on the side that served it, for a second look.
        marked: Tells whether a mark explains a difference.
        seconds: How long the side that served it took.
    """

    read: Mismatch
    kind: Kind
    served: Answer
    served_by: Side
    other: Callable[[], Awaitable[Answer]]
    again: Callable[[], Awaitable[Answer]]
    marked: Callable[[], Awaitable[bool]]
    seconds: float


@dataclass(slots=True)
class ShadowCounts:
    """What became of the shadow reads so far.

    Attributes:
        equal: Both sides answered the same; searches, within the tolerance.
        mismatched: They did not, and no mark explains it.
        pending: They did not, and a mark says that the key is still to be merged.
        failed: The other side did not answer, or not in time.
        dropped: Not made, because too many were under way.
        searches: Of those that are equal or mismatched, how many were searches that found anything.
        least_overlap: The least overlap@k of these searches; 1 where there were none.
        score_difference: The largest difference of both sides' scores of one document in them.
    """

    equal: int = 0
    mismatched: int = 0
    pending: int = 0
    failed: int = 0
    dropped: int = 0
    searches: int = 0
    least_overlap: float = 1.0
    score_difference: float = 0.0
    _overlaps: float = 0.0

    @property
    def overlap(self) -> float | None:
        """The mean overlap@k of the searches; None where there were none."""
        return self._overlaps / self.searches if self.searches else None

    def add(self, outcome: Outcome, agreed: Agreement | None = None) -> None:
        """Count one more of an outcome, by the name of its attribute; of a search, with how far both sides `agreed`."""
        setattr(self, outcome.value, getattr(self, outcome.value) + 1)
        if agreed is not None and outcome in {Outcome.EQUAL, Outcome.MISMATCHED}:
            self.searches += 1
            self._overlaps += agreed.overlap
            self.least_overlap = min(self.least_overlap, agreed.overlap)
            self.score_difference = max(self.score_difference, agreed.score_difference)


class ShadowReader:
    """Compares answers in the background, at a bounded rate and in bounded time.

    Args:
        rate: Which share of the reads is repeated, from 0 to 1.
        deadline: The most seconds that one comparison may take.
        cap: How many may be under way at once; one more is dropped.
        pause: How many seconds to wait before a difference is looked at again.
        tolerance: What two answers to the same search may differ by; as of `SearchTolerance` when left out.
        on_mismatch: Called with each mismatch, beside the log's warning.
        on_compared: Each is called with each comparison that was made or failed, when it has ended.
    """

    def __init__(
        self,
        *,
        rate: float = 1.0,
        deadline: float = 5.0,
        cap: int = 16,
        pause: float = 0.2,
        tolerance: SearchTolerance | None = None,
        on_mismatch: Callable[[Mismatch], None] | None = None,
        on_compared: Sequence[OnComparison] = (),
    ) -> None:
        self.counts = ShadowCounts()
        self._rate = rate
        self._cap = cap
        self._pause = pause
        self._tolerance = tolerance or SearchTolerance()
        self._on_mismatch = on_mismatch
        self._on_compared = on_compared
        self._under_way = InTime(deadline)
        self._to_begin: list[tuple[Callable[[], ShadowRead], Context]] = []

    def compare(self, describe: Callable[[], ShadowRead]) -> None:
        """Make a comparison, later. Returns at once: the caller, who waits for his answer, is spared all that can wait.

        Args:
            describe: Tells what is compared, when it is.
        """
        if self._rate < 1.0 and random.random() >= self._rate:  # noqa: S311 - a sample, not a secret
            return
        if len(self._under_way) + len(self._to_begin) >= self._cap:
            self.counts.dropped += 1
            return
        context = copy_context()
        if not self._to_begin:
            asyncio.get_running_loop().call_soon(self._begin, context=context)
        self._to_begin.append((describe, context))

    def _begin(self) -> None:
        waiting, self._to_begin = self._to_begin, []
        for describe, context in waiting:
            self._under_way.start(self._compare(describe()), context)

    async def _all_begun(self) -> None:
        if self._to_begin:
            await asyncio.sleep(0)  # They stand before this in the loop's queue.

    async def drain(self) -> None:
        """Wait until all comparisons under way are made."""
        await self._all_begun()
        await self._under_way.drain()

    async def close(self) -> None:
        """Stop: comparisons under way are given up."""
        await self._all_begun()
        await self._under_way.close()

    async def _compare(self, made: ShadowRead) -> None:
        outcome, seconds, judged, failure = Outcome.FAILED, None, _Judged(None), ""
        try:
            other, seconds = await self._other(made)
            judged = _judge(made.served, other, self._tolerance)
            outcome, judged = (Outcome.EQUAL, judged) if judged.difference is None else await self._look_again(made)
        except (ChatStoreError, TimeoutError, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and not self._under_way.is_late():
                raise
            failure = str(error) or "no answer in time"
            logger.info("shadow read %s failed: %s", made.read.operation, failure)
        except Exception as error:  # a comparison must not vanish, nor reach the app
            failure = type(error).__name__
            logger.exception("shadow read %s failed unexpectedly", made.read.operation)
        self.counts.add(outcome, judged.agreement)
        if self._on_compared:
            comparison = _told(made, outcome, failure or judged.difference or "", seconds, judged.agreement)
            for tell in self._on_compared:
                tell(comparison)

    async def _other(self, made: ShadowRead) -> tuple[Answer | None, float]:
        """Return what the other side answers, and how many seconds it took."""
        began = time.perf_counter()
        try:
            answer = await _or_none(made.other)
        except UnavailableError:
            # As with a difference: the other side may have been at work on what it was asked for.
            await asyncio.sleep(self._pause)
            began = time.perf_counter()
            answer = await _or_none(made.other)
        return answer, time.perf_counter() - began

    async def _look_again(self, made: ShadowRead) -> tuple[Outcome, _Judged]:
        """Tell a mismatch from a write that was under way: its mark may be gone by the time one looks for it."""
        unexplained, judged = 0, _Judged(None)
        for _ in range(_LOOKS):
            await asyncio.sleep(self._pause)
            explained = await made.marked()
            judged = _judge(await _or_none(made.again), await _or_none(made.other), self._tolerance)
            if judged.difference is None:
                return Outcome.EQUAL, judged
            unexplained = 0 if explained or await made.marked() else unexplained + 1
            if unexplained == _CERTAIN:
                self._report(replace(made.read, detail=judged.difference))
                return Outcome.MISMATCHED, judged
        return Outcome.PENDING, judged

    def _report(self, mismatch: Mismatch) -> None:
        logger.warning("mismatch in %s of %r: %s", mismatch.operation, mismatch.key, mismatch.detail)
        if self._on_mismatch is not None:
            self._on_mismatch(mismatch)


def _told(
    made: ShadowRead, outcome: Outcome, detail: str, seconds: float | None, agreed: Agreement | None
) -> Comparison:
    return Comparison(
        kind=made.kind,
        operation=made.read.operation,
        user_id=made.read.user_id,
        key=made.read.key,
        served_by=made.served_by,
        records=_records(made.served),
        outcome=outcome,
        detail=detail,
        served_seconds=made.seconds,
        other_seconds=seconds,
        agreement=agreed,
    )


def _records(answer: Answer) -> int:
    if isinstance(answer, int):
        return 0
    if isinstance(answer, Session | Document):
        return 1
    return len(answer.items if isinstance(answer, Page) else answer)


async def _or_none(read: Callable[[], Awaitable[Answer]]) -> Answer | None:
    try:
        return await read()
    except NotFoundError:
        return None


@dataclass(frozen=True, slots=True)
class _Judged:
    """How two answers to the same read differ, None when they do not; and, of a search, how far they agree."""

    difference: str | None
    agreement: Agreement | None = None


def _judge(served: Answer | None, other: Answer | None, tolerance: SearchTolerance) -> _Judged:
    if isinstance(served, Sequence) and isinstance(other, Sequence):
        found = [*served, *other]
        if found and all(isinstance(one, Match) for one in found):
            return _of_searches(served, other, tolerance)  # type: ignore[arg-type] # all are matches
    return _Judged(difference(served, other))


def difference(served: Answer | None, other: Answer | None) -> str | None:
    """Return how two answers to the same read differ, without telling their content; None when they do not.

    None for an answer stands for "there is no such record".
    """
    if served is None or other is None:
        return None if served is other else "there on one side only"
    if isinstance(served, int) or isinstance(other, int):
        return None if served == other else f"{served} on one side, {other} on the other"
    if isinstance(served, Session | Document) or isinstance(other, Session | Document):
        return _of_records(served, other)
    left = served.items if isinstance(served, Page) else served
    right = other.items if isinstance(other, Page) else other
    if len(left) != len(right):
        return f"{len(left)} records on one side, {len(right)} on the other"
    return _of_lists(left, right)


def _of_lists(left: Sequence[object], right: Sequence[object]) -> str | None:
    for place, pair in enumerate(zip(left, right, strict=True)):
        found = _of_records(*pair)
        if found is not None:
            return f"at place {place}: {found}"
    return None


def _of_searches(left: Sequence[Match], right: Sequence[Match], tolerance: SearchTolerance) -> _Judged:
    agreed = agreement(left, right, tolerance)
    found = _of_matches(left, right, agreed, tolerance)
    return _Judged(None if found is None else f"{found} ({agreed})", agreed)


def _of_matches(
    left: Sequence[Match], right: Sequence[Match], agreed: Agreement, tolerance: SearchTolerance
) -> str | None:
    if len(left) != len(right):  # A side that gives fewer than the other has fewer: no index is as approximate as that.
        return f"{len(left)} matches on one side, {len(right)} on the other"
    twins = {match.document.id: match for match in right}
    for place, match in enumerate(left):
        twin = twins.get(match.document.id)
        found = None if twin is None else _of_records(match.document, twin.document)
        if found is not None:
            return f"at place {place}: {found}"
        if twin is not None and not tolerance.allows(match.score, twin.score):
            return f"the document at place {place} has another score"
    if agreed.overlap < tolerance.least_overlap:
        return f"fewer than {tolerance.least_overlap:.0%} of the matches are the same"
    return None


def _of_records(left: object, right: object) -> str | None:
    if type(left) is not type(right):
        return "records of different kinds"
    names = [
        name
        for name in type(left).__dataclass_fields__  # type: ignore[attr-defined] # all records are dataclasses
        if name != "version" and not _are_same(name, getattr(left, name), getattr(right, name))
    ]
    return f"{type(left).__name__.lower()} differs in {', '.join(names)}" if names else None


def _are_same(name: str, left: Any, right: Any) -> bool:
    return same_expiry(left, right) if name == "expires_at" else bool(left == right)
