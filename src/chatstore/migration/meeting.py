"""Two readings of the same sessions, which meet message by message, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from chatstore.migration.compare import compare_sessions, is_same_message
from chatstore.migration.pairs import States, in_order_of_sides
from chatstore.migration.reports import Tally
from chatstore.models import ChatChange, Message, MessageOrder, Session, Side, has_expired
from chatstore.models.names import ChatKey

_A_MESSAGE = 700
"""Bytes that a message takes beside its text, about."""


class Meeting:
    """What two sides tell of some sessions, part by part, in any order of the parts.

    Messages wait for their counterpart of the other side, and go when it comes: so memory is what one side is ahead of
    the other. Only sessions that one side shows are looked at; what the other one shows beside them is not its matter.

    Args:
        shown_by: Which side it is whose sessions are compared.
        now: What has expired by this time does not exist, even where it is not swept away yet.
    """

    def __init__(self, shown_by: Side, now: datetime) -> None:
        self.waiting = 0
        """How many bytes wait, about."""
        self._shown_by = shown_by
        self._now = now
        self._met: dict[str, dict[Side, _Told]] = {}
        self._apart: set[str] = set()
        self._suspects: dict[ChatKey, States[Session | Message]] = {}

    def take(self, side: Side, change: ChatChange) -> None:
        """Take a part of a session, and compare its messages with those that wait for them."""
        session, name = change.session, change.session_id
        if session is None or has_expired(session.expires_at, self._now) or name in self._apart:
            return
        met = self._met.setdefault(name, {Side.OLD: _Told(), Side.NEW: _Told()})
        here, there = met[side], met[side.other]
        here.header = here.header or session
        living = [m for m in change.messages if m.expires_at is None or not has_expired(m.expires_at, self._now)]
        here.messages += len(living)
        if living:
            here.reached = living[-1].order
        for message in living:
            other = there.waiting.pop(message.id, None)
            if other is None:
                here.waiting[message.id] = message
                self.waiting += _size(message)
                continue
            self.waiting -= _size(other)
            if not is_same_message(message, other):
                self._suspects[ChatKey(name, message.id)] = in_order_of_sides(side, message, other)

    def put_apart(self) -> Iterator[str]:
        """Give up those sessions that keep the most waiting, and yield them: they are to be compared each alone."""
        most = self.waiting // 2
        by_weight = sorted(self._met, key=lambda name: sum(len(told.waiting) for told in self._met[name].values()))
        while self.waiting > most and by_weight:
            name = by_weight.pop()
            self.waiting -= sum(_size(m) for told in self._met.pop(name).values() for m in told.waiting.values())
            self._suspects = {key: states for key, states in self._suspects.items() if key.session_id != name}
            self._apart.add(name)
            yield name

    def reached(self, name: str, side: Side) -> MessageOrder:
        """Return how far a side has told of a session."""
        return self._met[name][side].reached if name in self._met else _NOWHERE

    def pass_by(self, name: str, ended: set[Side]) -> dict[ChatKey, States[Session | Message]]:
        """Return what differs in a session so far, of a reading of it alone, and forget it.

        A message that waits, while the other side is behind its place, or has ended, has no counterpart there. (One
        whose place is another one there is taken for such, too: whoever looks again sees what it is.)
        """
        if name in self._met:
            for side, told in self._met[name].items():
                there = self._met[name][side.other]
                if side.other in ended:
                    gone = list(told.waiting.values())
                else:
                    gone = [m for m in told.waiting.values() if m.order <= there.reached]
                for message in gone:
                    del told.waiting[message.id]
                    self.waiting -= _size(message)
                    if there.header is not None:
                        self._suspects[ChatKey(name, message.id)] = in_order_of_sides(side, message, None)
        suspects, self._suspects = self._suspects, {}
        return suspects

    def differing(self) -> dict[ChatKey, States[Session | Message]]:
        """Return what differs, once both sides have told all; of a session that one side lacks, its header alone."""
        for name, met in self._met.items():
            old, new = met[Side.OLD], met[Side.NEW]
            key = ChatKey(name)
            if met[self._shown_by].header is not None and compare_sessions("", old.header, new.header):
                self._suspects[key] = (old.header, new.header)
            if old.header is not None and new.header is not None:
                for side, told in met.items():
                    self._suspects |= {
                        ChatKey(name, message.id): in_order_of_sides(side, message, None)
                        for message in told.waiting.values()
                    }
        return self._suspects

    def tally(self, side: Side) -> Tally:
        """Return how many records of a side were compared."""
        told = [met[side] for met in self._met.values() if met[self._shown_by].header is not None]
        return Tally(sessions=sum(one.header is not None for one in told), messages=sum(one.messages for one in told))


_NOWHERE: MessageOrder = (-(2**63), "")


@dataclass(slots=True)
class _Told:
    """What one side told of a session so far."""

    header: Session | None = None
    messages: int = 0
    reached: MessageOrder = _NOWHERE
    waiting: dict[str, Message] = field(default_factory=dict)


def _size(message: Message) -> int:
    return _A_MESSAGE + len(message.content)
