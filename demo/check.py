"""The verdict: what a side holds, against the ledger of what was acknowledged. Pure, so it can be tested itself."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from demo.history import History, histories
from demo.ledger import Call, Outcome, What

POP = "pop"
"""The name of a call that takes a message for its caller alone."""
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
    counted = [call for call in written if call.outcome is Outcome.ACKNOWLEDGED and call.ended <= until]
    verdict = Verdict(
        side=side,
        acknowledged=sum(call.writer != BEFORE for call in counted),
        before=sum(len(call.effects) for call in counted if call.writer == BEFORE),
        records=len(seen),
    )
    records = histories(written, until)
    found = Counter((item.what, item.id) for item in seen)
    for item in seen:
        _judge_seen(verdict, item, records)
    verdict.doubled.extend(
        f"{what} {name} is there {times} times" for (what, name), times in found.items() if times > 1
    )
    verdict.doubled.extend(_popped_twice(counted))
    verdict.missing.extend(
        f"{what} {name} is not there"
        for (what, name), record in records.items()
        if (what, name) not in found and record.must_exist
    )
    verdict.disordered.extend(_disordered(seen, records))
    return verdict


def _judge_seen(verdict: Verdict, item: Seen, records: dict[tuple[What, str], History]) -> None:
    record = records.get((item.what, item.id))
    name = f"{item.what} {item.id}"
    if record is None:
        verdict.foreign.append(f"{name} was written by nobody")
    elif item.user_id not in (record.user_id, None) or item.session_id != record.birth.effect.session_id:
        verdict.foreign.append(
            f"{name} of {record.user_id} lies with {item.user_id} in {item.session_id or 'no session'}"
        )
    elif record.is_gone:
        verdict.undead.append(f"{name} was deleted and is there")
    elif item.value not in record.values:
        verdict.missing.append(f"{name} does not say what it was last made to say")


def _popped_twice(calls: Iterable[Call]) -> Iterator[str]:
    """Yield the messages that two callers got for themselves. Two sides may give one each, while they differ."""
    popped = Counter(
        (effect.id, call.side) for call in calls if call.name == POP and call.side for effect in call.effects
    )
    for (name, side), times in popped.items():
        if times > 1:
            yield f"message {name} was popped {times} times on the {side} side"


def too_little(calls: Iterable[Call], names: Iterable[str], least: int) -> list[str]:
    """Return which of these calls were acknowledged less often than `least`: then a good verdict would mean nothing."""
    done = Counter(call.name for call in calls if call.outcome is Outcome.ACKNOWLEDGED and call.writer != BEFORE)
    return [f"{name}: {done[name]} acknowledged, not {least}" for name in names if done[name] < least]


def _disordered(seen: Iterable[Seen], records: dict[tuple[What, str], History]) -> Iterator[str]:
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
