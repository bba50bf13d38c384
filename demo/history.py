"""What must hold of a record in the end, by the ledger alone. Pure.

Nothing here knows of stages or sides. Calls have an order where one had its answer before the other was made; of those
that overlap, or that nobody answered, either may come last. All runs on one machine, so the calls have one clock.

- A message that was deleted, or popped, is gone for good. One that was cleared away is gone, unless a write of it came
  after that: the clearing side may not have known of it.
- A session's deletion ends its life, with all that was written to that life, also later, by somebody who did not know.
  Who wrote to a session before its last creation and who after it is sure only of the one who created it.
- A document is there if a write of it came after all its deletions, and gone if a deletion came after all its writes.
- A record says what a write made it say that no other write came after.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from demo.ledger import ALL, ONE, Call, Effect, Outcome, What


@dataclass(frozen=True, slots=True)
class Write:
    """One effect of one call, which happened, or may have.

    Attributes:
        effect: The effect.
        call: The call.
        place: Where it stands among all effects, by the begin of its call.
        sure: Whether it was acknowledged in time to count.
    """

    effect: Effect
    call: Call
    place: tuple[float, int]
    sure: bool

    def before(self, other: Write) -> bool:
        """Return whether this one had its answer before the other one was made. What nobody answered may come late."""
        answered = self.call.ended if self.call.outcome is Outcome.ACKNOWLEDGED else math.inf
        return answered < other.call.began


@dataclass(slots=True)
class History:
    """All that the ledger says about one record.

    Attributes:
        what: A session, a message or a document.
        user_id: Whose it is.
        session: A message's session, as far as the ledger has it.
        puts: The writes that gave it something to say; the first one is its birth.
        ends: The deletions of it.
        sweeps: Of a session: the deletions of all of its messages.
        guesses: Of a session: the deletions of one message that only a lost answer would have named.
    """

    what: What
    user_id: str
    session: History | None
    puts: list[Write] = field(default_factory=list)
    ends: list[Write] = field(default_factory=list)
    sweeps: list[Write] = field(default_factory=list)
    guesses: list[Write] = field(default_factory=list)

    @property
    def birth(self) -> Write:
        """Its first write."""
        return self.puts[0]

    @property
    def must_exist(self) -> bool:
        """Whether it would be lost if it were not there."""
        if self.what is What.MESSAGE:
            return self.birth.sure and not self.ends and self._survives_session()
        return any(birth.sure and all(end.before(birth) for end in self.ends) for birth in self.births)

    @property
    def is_gone(self) -> bool:
        """Whether it would be back from the dead if it were there."""
        if self.what is What.MESSAGE:
            return any(end.sure for end in self.ends) or self._went_with_session()
        return any(end.sure and all(birth.before(end) for birth in self.births) for end in self.ends)

    @property
    def values(self) -> set[str | None]:
        """What it may say, if it is there."""
        last = [write for write in (*self.puts, *self.ends) if write.sure and self.is_of_present_life(write)]
        return {put.effect.value for put in self.puts if not any(put.before(write) for write in last)}

    @property
    def births(self) -> list[Write]:
        """The writes that may have brought it to life, the first time or again."""
        if self.what is What.SESSION:
            return [put for put in self.puts if put is self.birth or put.effect.begins]
        return self.puts

    def _survives_session(self) -> bool:
        if self.session is None:
            return True
        return (
            not self.session.guesses
            and all(self._survives(sweep) for sweep in self.session.sweeps)
            and all(self._came_after(end, self.session) for end in self.session.ends)
        )

    def _survives(self, sweep: Write) -> bool:
        return any(put.call is sweep.call or (put.sure and sweep.before(put)) for put in self.puts)

    def _came_after(self, end: Write, session: History) -> bool:
        """Return whether it was written to a life of its session that began after `end`."""
        writer = self.birth.call.writer
        return any(
            birth.sure and birth.call.writer == writer and end.before(birth) and birth.before(self.birth)
            for birth in session.births
        )

    def _went_with_session(self) -> bool:
        if self.session is None:
            return False
        swept = any(
            sweep.sure and self.session.is_of_present_life(sweep) and all(put.before(sweep) for put in self.puts)
            for sweep in self.session.sweeps
        )
        return swept or any(end.sure and self.birth.before(end) for end in self.session.ends)

    def is_of_present_life(self, write: Write) -> bool:
        """Return whether a write is known to be of that life of a session which was the present one in its time."""
        births = self.births
        if self.what is not What.SESSION or len(births) == 1 or write.effect.begins or write in self.ends:
            return True
        return any(
            birth.sure
            and birth.call.writer == write.call.writer
            and birth.before(write)
            and all(other is birth or other.before(birth) or write.before(other) for other in births)
            for birth in births
        )


def histories(calls: Iterable[Call], until: float = math.inf) -> dict[tuple[What, str], History]:
    """Return the history of every record that a call wrote, or may have written.

    Args:
        calls: The ledger.
        until: What was acknowledged later is taken as if nobody had answered.
    """
    found: dict[tuple[What, str], History] = {}
    for write in _writes(calls, until):
        effect = write.effect
        if effect.id in (ALL, ONE):
            session = found.get((What.SESSION, effect.session_id))
            if session is not None:
                (session.sweeps if effect.id == ALL else session.guesses).append(write)
            continue
        key = effect.what, effect.id
        if key not in found:
            found[key] = History(effect.what, write.call.user_id, found.get((What.SESSION, effect.session_id)))
        (found[key].ends if effect.value is None else found[key].puts).append(write)
    # What was only ever deleted was never there.
    return {key: history for key, history in found.items() if history.puts}


def _writes(calls: Iterable[Call], until: float) -> Iterator[Write]:
    for call in sorted(calls, key=lambda call: call.began):
        if call.outcome is not Outcome.FAILED:
            sure = call.outcome is Outcome.ACKNOWLEDGED and call.ended <= until
            for index, effect in enumerate(call.effects):
                yield Write(effect, call, (call.began, index), sure)
