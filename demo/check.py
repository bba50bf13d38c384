"""The verdict: what a side holds, against the ledger of what was acknowledged. Pure, so it can be tested itself."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from demo.ledger import Call, Effect, Outcome, What

BEFORE = "before"
"""The writer of what was there before the app knew chatstore."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A record as a raw reading found it. A session's messages come in their order.

    Attributes: as of `Effect`; and `user_id`, whose it is there, None where the side does not say.
    """

    what: What
    id: str
    value: str
    session_id: str = ""
    user_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is wrong with one side; each problem in a line of text.

    Attributes:
        side: Which side, and as of when.
        acknowledged: How many acknowledged writes it was held against.
        before: How many records it was held against that were there before.
        records: How many records it holds.
        missing: Acknowledged, and not there, or an older state is.
        doubled: There more than once.
        undead: Deleted, the deletion was acknowledged, and there again.
        disordered: Messages behind one that was appended after them.
        foreign: There as somebody else's, or written by nobody.
    """

    side: str
    acknowledged: int
    before: int
    records: int
    missing: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    undead: list[str] = field(default_factory=list)
    disordered: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    @property
    def problems(self) -> list[str]:
        """All that is wrong."""
        return [*self.missing, *self.doubled, *self.undead, *self.disordered, *self.foreign]


def judge(
    side: str,
    calls: Iterable[Call],
    seen: Sequence[Seen],
    *,
    whats: frozenset[What] = frozenset(What),
    until: float = math.inf,
) -> Verdict:
    """Hold what a side holds against the ledger.

    Args:
        side: What to call it in the verdict.
        calls: The whole ledger.
        seen: A raw reading of the side.
        whats: Which records are judged.
        until: The side is held against what was acknowledged until then; what came later may be there or not.
    """
    seen = [item for item in seen if item.what in whats]
    written = [call for call in calls if call.effects and call.effects[0].what in whats]
    counted = [call for call in written if _is_sure(call, until)]
    verdict = Verdict(
        side=side,
        acknowledged=sum(call.writer != BEFORE for call in counted),
        before=sum(len(call.effects) for call in counted if call.writer == BEFORE),
        records=len(seen),
    )
    records = _records(written, until)
    found = Counter((item.what, item.id) for item in seen)
    for item in seen:
        _judge_seen(verdict, item, records)
    verdict.doubled.extend(
        f"{what} {name} is there {times} times" for (what, name), times in found.items() if times > 1
    )
    verdict.missing.extend(
        f"{what} {name} is not there"
        for (what, name), record in records.items()
        if (what, name) not in found and record.must_exist
    )
    verdict.disordered.extend(_disordered(seen, records))
    return verdict


@dataclass(slots=True)
class _Write:
    """One effect of one call."""

    effect: Effect
    call: Call
    place: tuple[float, int]
    sure: bool


@dataclass(slots=True)
class _Record:
    """All that the ledger says about one record."""

    user_id: str
    session: _Record | None
    writes: list[_Write] = field(default_factory=list)

    @property
    def is_deleted(self) -> bool:
        """Whether a deletion of it, or of its session, was acknowledged."""
        return any(w.sure and w.effect.value is None for w in self.writes) or (
            self.session is not None and self.session.is_deleted
        )

    @property
    def may_be_deleted(self) -> bool:
        return any(w.effect.value is None for w in self.writes) or (
            self.session is not None and self.session.may_be_deleted
        )

    @property
    def must_exist(self) -> bool:
        return any(w.sure for w in self.writes) and not self.may_be_deleted

    @property
    def values(self) -> set[str | None]:
        """What it may say: what the last acknowledged write made it, or any whose outcome is not known."""
        sure = [w for w in self.writes if w.sure]
        return {w.effect.value for w in self.writes if not w.sure} | {w.effect.value for w in sure[-1:]}

    @property
    def birth(self) -> _Write:
        return self.writes[0]


def _is_sure(call: Call, until: float) -> bool:
    return call.outcome is Outcome.ACKNOWLEDGED and call.ended <= until


def _records(written: Iterable[Call], until: float) -> dict[tuple[What, str], _Record]:
    records: dict[tuple[What, str], _Record] = {}
    for call in sorted(written, key=lambda call: call.began):
        if call.outcome is Outcome.FAILED:
            continue
        for index, effect in enumerate(call.effects):
            key = effect.what, effect.id
            if key not in records:
                session = records.get((What.SESSION, effect.session_id))
                records[key] = _Record(call.user_id, session)
            records[key].writes.append(_Write(effect, call, (call.began, index), _is_sure(call, until)))
    return records


def _judge_seen(verdict: Verdict, item: Seen, records: dict[tuple[What, str], _Record]) -> None:
    record = records.get((item.what, item.id))
    name = f"{item.what} {item.id}"
    if record is None:
        verdict.foreign.append(f"{name} was written by nobody")
    elif item.user_id not in (record.user_id, None) or item.session_id != record.birth.effect.session_id:
        verdict.foreign.append(
            f"{name} of {record.user_id} lies with {item.user_id} in {item.session_id or 'no session'}"
        )
    elif record.is_deleted:
        verdict.undead.append(f"{name} was deleted and is there")
    elif item.value not in record.values:
        verdict.missing.append(f"{name} does not say what it was last made to say")


def _disordered(seen: Iterable[Seen], records: dict[tuple[What, str], _Record]) -> Iterator[str]:
    """Yield the messages that stand behind one which the same writer appended later.

    Writers who write to one session at the same time have no order between them; what was there before comes first.
    """
    latest: dict[str, dict[str, tuple[float, int]]] = defaultdict(lambda: defaultdict(lambda: (-math.inf, 0)))
    for item in seen:
        record = records.get((What.MESSAGE, item.id))
        # A call that nobody answered may take effect late.
        if item.what is not What.MESSAGE or record is None or not record.birth.sure:
            continue
        writers, writer, place = latest[item.session_id], record.birth.call.writer, record.birth.place
        rivals = list(writers) if writer == BEFORE else [writer]
        if any(place < writers[rival] for rival in rivals):
            yield f"message {item.id} of session {item.session_id} stands behind a later one"
        writers[writer] = max(writers[writer], place)
