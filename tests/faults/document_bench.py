"""The bench of documents, whose new side compares and writes in two steps, as Chroma does."""

from chatstore.migration import BackfillOptions, backfill_documents
from chatstore.models import DeleteDocuments, DocumentChange, Kind, Mark, Side, UpsertDocuments
from chatstore.routing import ROUTES, DocumentRouter, Sides, StageResolver, document_repairer, document_replicator
from chatstore.testing import MemoryDocuments
from tests.faults.bench import Bench
from tests.faults.wire import DocumentWire
from tests.property.scheduler import run
from tests.property.two_step import TwoStepDocuments


class LikeChroma(TwoStepDocuments):
    """Writes what it decided when it looked; only a deletion that came in between is seen, and wins.

    `joins` are those that are announced, with their user and when they end at the latest.
    """

    def __init__(self):
        super().__init__()
        self.joins = {}

    async def _apart(self, before, act):
        apart = MemoryDocuments(Side.NEW)
        apart._states = dict(before)
        result = await act(apart)
        for name, state in apart._states.items():
            if state != before.get(name):
                now = self._states.get(name)
                deleted = max(state.deleted, now.deleted if now else 0)
                alive = state.document if state.document and state.document.version > deleted else None
                self._states[name] = DocumentChange(key=state.key, document=alive, deleted=deleted)
        return result


class DocumentBench(Bench):
    """Two document stores. `said` is what other processes were told is written, by the document's id."""

    def __init__(self, *, inline=True):
        super().__init__(inline=inline)
        self.stores = Sides(MemoryDocuments(Side.OLD), LikeChroma())
        self.said = {}
        self.process = self.new_process()

    def wires(self, process):
        return Sides(*(DocumentWire(self, process, side) for side in Side))

    def router(self, process):
        journals = [process.sides[side].journal for side in Side]
        stages = StageResolver(Kind.DOCUMENTS, journals, client=self.flags.client)
        replicator = document_replicator(process.sides, inline=self.inline, linger=0.0)
        return DocumentRouter(process.sides, stages, replicator=replicator)

    def repairer(self, process):
        return document_repairer(process.sides)

    async def backfill(self, source=Side.OLD):
        process = self.process
        source, target = process.sides[source], process.sides[source.other]
        options = BackfillOptions(batch=1, settle_seconds=2.0)
        await backfill_documents(source, target, process.progress, repair=process.repairer.run, options=options)

    def note_unmarked(self, side, changes):
        """What was written while the journal was closed has no mark, and need not: the backfill has yet to come."""
        if not self.stores[side].journal._state.journal_open:
            self.ledger.unmarked.update(change.key.id for change in changes)

    # What another process does

    def tries(self, stage, command):
        """Let another process write, at a stage of its own, as far as it gets by itself; it ends with what is driven.

        A deletion while the journal is closed leaves a tombstone on its side only. Nobody needs it on the other one, but
        the comparison of all that the sides know would call it a difference. One of nothing leaves nothing.
        """
        if isinstance(command, DeleteDocuments) and not (self.opened() and self._there(ROUTES[stage].first, command)):
            return

        def done(op, error):
            assert error is None, f"it had nothing to do with it: {error}"
            self.said.update(_meant(command))

        others = self.flags._stage
        self.at(stage)
        process = self.new_process()
        self.finish(self.start(process, process.router.write(command), done))
        self.at(others)

    def _there(self, side, command):
        return all(name in self.contents(side) for name in command.ids)

    def writes(self, side, command):
        """Write to one side only, as the stages `off` and `complete` do, so long ago that the lease has ended."""
        changes = run(self.stores[side].write(command, _marks(side, command, while_open=True))).changes
        self.said.update(_meant(command))
        self.note_unmarked(side, changes)

    def writes_first(self, side, command):
        """Write to the side that comes first, and die, so long ago that the lease has ended."""
        marks = _marks(side, command)
        self.said.update(_meant(command))
        return marks, run(self.stores[side].write(command, marks)).changes

    def writes_both(self, command, first=Side.OLD):
        """Write to both sides, one after the other."""
        marks, changes = self.writes_first(first, command)
        self.arrives(first.other, changes)
        run(self.stores[first].journal.clear(marks))

    def arrives(self, side, changes):
        run(self.stores[side].put(changes))

    # What both sides hold

    def known(self, side, name):
        change = self.stores[side]._states.get(name)
        return (None, 0) if change is None else (change.document, change.deleted)

    def differing(self):
        names = {name for side in Side for name in self.stores[side]._states}
        return {name for name in names if self.known(Side.OLD, name) != self.known(Side.NEW, name)}

    def contents(self, side):
        return {
            name: (change.document.user_id, change.document.text)
            for name, change in sorted(self.stores[side]._states.items())
            if change.document is not None
        }

    def check(self):
        self.check_equal()

    def check_beside(self):
        """What others were told is written is there, and nobody overwrote it with what was there before."""
        found = {name: self.contents(Side.OLD).get(name) for name in self.said}
        assert found == self.said, f"lost or back: {found}"


def _marks(side, command, *, while_open=False):
    about = {"user_id": command.user_id, "side": side, "op": command.op, "while_open": while_open}
    return [Mark(key=name, **about) for name in _meant(command)]


def _meant(command):
    if isinstance(command, UpsertDocuments):
        return {document.id: (command.user_id, document.text) for document in command.documents}
    assert isinstance(command, DeleteDocuments)
    return dict.fromkeys(command.ids)
