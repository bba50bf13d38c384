"""What was asked, what took effect where and when, and what must hold of it in the end.

The checker is in the manner of Jepsen's `set-full`: every message, text and title is used once, so each can be followed.
It sees what no client sees, each effect on a side, and so knows the outcome of calls that got no reply as well.

One effect is *decided before* another when the side that gave the later one knew of the earlier one: both took effect on
the same side, in this order; or the mark of the earlier one was gone when the later one took effect, which is the
library's own word that both sides had it. An effect without a mark (at `off`, while the journal was closed) is decided
before later ones of its own side only. What is not decided either way is concurrent: it happened on two sides that did
not know of each other, and the join may take either for the later one, whatever the wall clock said. Then:

- a message whose id was deleted or popped is gone, in every order, for as long as its session lives; an id may be used
  again in the life that a session begins after its deletion;
- a message is there if one of its appends or edits comes decidedly after every clear, replacement and deletion of its
  session (in which case it was never lost), and gone if one of these comes decidedly after all its appends and edits;
  between the two (a clear on one side, an append on the other that did not know of it) both outcomes are allowed;
- it says what one of its appends or edits said, and not one that another of them came decidedly after;
- of two messages, each appended once, the one that was decided first comes first;
- a session is there if a creation or a change of its title comes decidedly after all its deletions, gone if a deletion
  comes decidedly after all of these; its title is one that none of them came decidedly after.

An effect whose caller got no reply counts like any other: it has its mark, so it is as durable. What never took effect,
and was never sent, must never be seen.
"""

from dataclasses import dataclass

from chatstore.models import AppendMessages, ClearMessages, CreateSession, DeleteSession, UpdateSession


@dataclass(eq=False)
class Effect:
    """A write that changed a side."""

    at: int
    side: object
    op: object
    command: object
    token: str | None
    puts: dict
    buried: frozenset

    @property
    def sweeps(self):
        command = self.command
        return isinstance(command, ClearMessages | DeleteSession) or (
            isinstance(command, AppendMessages) and command.replace
        )

    @property
    def title(self):
        return self.command.title if isinstance(self.command, CreateSession | UpdateSession) else None


class Ledger:
    """All effects of a schedule.

    Attributes:
        sessions: Whose session each id is.
        sent: Every message that was ever sent to a session.
        unmarked: Sessions that were written while the journal was closed, and not backfilled since.
    """

    def __init__(self):
        self.sessions = {}
        self.sent = {}
        self.unmarked = set()
        self._effects = {}
        self._settled = {}
        self._count = 0

    def tick(self):
        self._count += 1
        return self._count

    def settled(self, token):
        self._settled.setdefault(token, self.tick())

    def note(self, side, op, command, written, token):
        puts = {message.id: message.content for message in written.change.messages}
        buried = frozenset(tombstone.id for tombstone in written.change.tombstones)
        effect = Effect(self.tick(), side, op, command, token, puts, buried)
        self._effects.setdefault(command.session_id, []).append(effect)

    def decided(self, one, other):
        """Whether `one` is decided before `other`, or is it."""
        if one.at >= other.at:
            return one is other
        return one.side is other.side or self._settled.get(one.token, other.at) < other.at

    def of(self, session_id):
        return Verdicts(self, self._effects.get(session_id, ()))

    def unsettled(self, session_id):
        """Whether some effect on a session has not reached both sides."""
        return any(effect.token not in self._settled for effect in self._effects.get(session_id, ()))


class Verdicts:
    """What must be true of one session."""

    def __init__(self, ledger, effects):
        self._decided = ledger.decided
        self._effects = effects
        self._sweeps = [effect for effect in effects if effect.sweeps]
        self._deletions = [effect for effect in effects if isinstance(effect.command, DeleteSession)]
        self._headers = [effect for effect in effects if effect.title is not None]
        self.puts = {}
        for effect in effects:
            for name in effect.puts:
                self.puts.setdefault(name, []).append(effect)

    def _after_all(self, effect, others):
        return all(self._decided(other, effect) for other in others)

    def must_be(self, name, puts):
        """Whether one of these appends and edits of a message makes it certain that it is there."""
        burials = self._burials(name)
        return any(
            self._after_all(put, self._sweeps) and all(self._ended_between(burial, put) for burial in burials)
            for put in puts
        )

    def must_be_gone(self, name, by=None):
        """Whether a message was deleted decidedly; with `by`, by one of these effects."""
        sweeps = self._sweeps if by is None else [effect for effect in by if effect.sweeps]
        burials = self._burials(name) if by is None else [effect for effect in by if name in effect.buried]
        puts = self.puts[name]
        return any(self._is_final(burial, puts) for burial in burials) or any(
            sweep not in puts and self._after_all(sweep, puts) for sweep in sweeps
        )

    def _burials(self, name):
        return [effect for effect in self._effects if name in effect.buried]

    def _ended_between(self, burial, put):
        """Whether the session's life in which a message was deleted had ended before this append or edit."""
        return any(self._decided(burial, d) and self._decided(d, put) for d in self._deletions)

    def _is_final(self, burial, puts):
        """Whether nothing can have come after the deletion of a message, or nothing but in the same life."""
        return self._after_all(burial, puts) or self._after_all(burial, self._deletions)

    def texts(self, name, own=None):
        """What a message may say: what was not decidedly overwritten, by any other write or by `own`."""
        overwriters = self.puts[name] if own is None else own
        return {
            put.puts[name]
            for put in self.puts[name]
            if not any(other is not put and self._decided(put, other) for other in overwriters)
        }

    def must_exist(self, headers=None):
        return any(self._after_all(h, self._deletions) for h in (self._headers if headers is None else headers))

    def must_not_exist(self, by=None):
        deletions = self._deletions if by is None else [effect for effect in by if effect in self._deletions]
        return any(self._after_all(deletion, self._headers) for deletion in deletions)

    def titles(self, own=None):
        overwriters = self._headers if own is None else own
        return {h.title for h in self._headers if not any(o is not h and self._decided(h, o) for o in overwriters)}

    def in_order(self):
        """Pairs of messages of which the first must stand before the second, wherever both are there."""
        once = [(name, puts[0]) for name, puts in self.puts.items() if len(self._appends(name)) == 1]
        # A deletion frees a place, which a side that has not heard of it yet may show taken twice.
        firm = [(name, put) for name, put in once if self._after_all(put, self._sweeps) and not self._burials(name)]
        for name, put in firm:
            for other, later in firm:
                if put is not later and self._decided(put, later):
                    yield name, other

    def _appends(self, name):
        return [put for put in self.puts[name] if isinstance(put.command, AppendMessages)]

    def own(self, process, before):
        """Effects that a process had been told of before a moment."""
        return [
            effect
            for effect in self._effects
            if effect.op.process is process and effect.op.acked is not None and effect.op.acked < before
        ]

    # The checks

    def check_messages(self, messages, own=None):
        """Check a session's messages: all that is known in the end or, with `own`, what a reader has to see of its own."""
        names = [message.id for message in messages]
        said = {message.id: message.content for message in messages}
        assert len(set(names)) == len(names), f"doubled: {names}"
        assert [message.order for message in messages] == sorted(message.order for message in messages)
        assert set(names) <= set(self.puts), f"never written: {set(names) - set(self.puts)}"
        for name, puts in self.puts.items():
            mine = puts if own is None else [put for put in puts if put in own]
            if name not in said:
                assert not self.must_be(name, mine), f"lost: {name}"
                continue
            assert not self.must_be_gone(name, own), f"deleted and back: {name}"
            if mine:
                assert said[name] in self.texts(name, None if own is None else mine), f"overwritten: {name}"
        for name, other in self.in_order():
            if name in said and other in said:
                assert names.index(name) < names.index(other), f"{other} stands before {name}"

    def check_session(self, session, own=None):
        """Check a session's header, None for one that is not there; `own` as above."""
        headers = self._headers if own is None else [h for h in self._headers if h in own]
        if session is None:
            assert not self.must_exist(headers), "a session is lost"
            return
        assert self._headers, "a session that was never created"
        assert not self.must_not_exist(own), "a deleted session is back"
        if headers:
            assert session.title in self.titles(None if own is None else headers), f"a title is lost: {session.title}"
