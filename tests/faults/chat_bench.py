"""The bench of sessions and messages."""

from contextlib import suppress

from chatstore.errors import NotFoundError
from chatstore.migration import BackfillOptions, backfill_chat
from chatstore.models import DeleteSession, Kind, Mark, Side, utc_now
from chatstore.routing import ChatRouter, Sides, StageResolver, chat_repairer, chat_replicator
from tests.faults.bench import Bench
from tests.faults.wire import Wire
from tests.property.scheduler import run


class ChatBench(Bench):
    """Two chat stores; the ledger follows every effect on them."""

    def __init__(self, *, inline=True):
        super().__init__(inline=inline)
        self.process = self.new_process()

    def wires(self, process):
        return Sides(*(Wire(self, process, side) for side in Side))

    def router(self, process):
        journals = [process.sides[side].journal for side in Side]
        stages = StageResolver(Kind.CHAT, journals, client=self.flags.client)
        return ChatRouter(
            process.sides, stages, replicator=chat_replicator(process.sides, inline=self.inline, linger=0.0)
        )

    def repairer(self, process):
        return chat_repairer(process.sides)

    async def backfill(self, source=Side.OLD):
        process = self.process
        source, target = process.sides[source], process.sides[source.other]
        options = BackfillOptions(batch=1)
        await backfill_chat(source, target, process.progress, repair=process.repairer.run, options=options)

    # What another process does

    def execute(self, side, op, command, mark):
        self.ledger.sessions[command.session_id] = command.user_id
        return super().execute(side, op, command, mark)

    def writes(self, side, command):
        """Write to one side only, as the stages `off` and `complete` do."""
        self.execute(side, self.nobody(), command, _mark(side, command, while_open=True))

    def tries(self, side, command):
        """Write so if it can be: what is gone on this side cannot be changed there.

        A deletion while the journal is closed leaves a tombstone on its side only. Nobody needs it on the other one, but
        the comparison of all that the sides know would call it a difference.
        """
        if self.opened() or not isinstance(command, DeleteSession):
            with suppress(NotFoundError):
                self.writes(side, command)

    def writes_first(self, side, command):
        """Write to the side that comes first, and die."""
        mark = _mark(side, command)
        return mark, self.execute(side, self.nobody(), command, mark).change

    def arrives(self, side, change):
        run(self.stores[side].put([change]))

    def writes_both(self, command, first=Side.OLD):
        """Write to both sides, one after the other."""
        mark, change = self.writes_first(first, command)
        self.arrives(first.other, change)
        run(self.stores[first].journal.clear([mark]))

    # What both sides hold

    def contents(self, side):
        return {
            name: (state.session.user_id, state.session.title, [(m.id, m.content) for m in state.ordered(utc_now())])
            for name, state in sorted(self.stores[side]._states.items())
            if state.session is not None
        }

    def check(self):
        self.check_equal()
        for name in self.ledger.sessions:
            for side in Side:
                state = self.stores[side]._states.get(name)
                verdicts = self.ledger.of(name)
                verdicts.check_session(state and state.session)
                verdicts.check_messages(state.ordered(utc_now()) if state else [])

    def check_beside(self):
        """Nothing more: the ledger knows of what others did, too."""


def _mark(side, command, *, while_open=False):
    return Mark(key=command.session_id, user_id=command.user_id, side=side, op=command.op, while_open=while_open)
