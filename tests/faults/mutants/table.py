"""The seeded bugs."""

from dataclasses import replace
from functools import partial

from tests.faults import chat_operations as chats
from tests.faults import document_operations as documents
from tests.faults.chat_bench import ChatBench
from tests.faults.document_bench import DocumentBench
from tests.faults.every_await import every_await
from tests.faults.fault import Fault
from tests.faults.mutants.seeded import Edit, Mutant
from tests.faults.test_cancelled import check_no_half

UNMARKED = "the sides differ, and no mark says so"
UNEQUAL = "the sides differ in the end"
LOST = "lost: "
BACK = "deleted and back"
OTHERWISE = "lost, back or half"


def _chats(name, fault, beside=None):
    """What must find it: an operation on chats, with this kind of fault (which of the writes beside it) at every point."""
    return partial(every_await, _named(chats, name, beside), fault, ChatBench)


def _documents(name, fault, beside=None):
    return partial(every_await, _named(documents, name, beside), fault, DocumentBench)


def _named(table, name, beside=None):
    operations = table.WRITES + table.BEHIND + table.BEHIND_THE_APP + table.FLIPS + table.BACKFILLS
    [found] = [operation for operation in operations if operation.name == name]
    return found if beside is None else replace(found, beside=(found.beside[beside],))


MUTANTS = [
    Mutant(
        "the-mark-after-the-write",
        "a mark is durable in the step that writes the first side",
        (
            Edit(
                "routing.chat:ChatRouter._write",
                "written = await self.sides[route.first].write(command, mark)",
                "written = await self.sides[route.first].write(command)\n"
                "await self.sides[route.first].journal.add([mark])",
            ),
        ),
        _chats("append-at-dualwrite", Fault.DIES),
        UNMARKED,
        drawn=True,
    ),
    Mutant(
        "the-mark-is-cleared-first",
        "a mark stands until both sides have answered",
        (
            Edit(
                "routing.replication:Replicator._do_on",
                "await self._put(side, [",
                "await self._settle([mark for handover in part for mark in handover.marks])\nawait self._put(side, [",
            ),
        ),
        _chats("edit-at-live,-behind-the-answer", Fault.FAILS),
        UNMARKED,
        drawn=True,
    ),
    Mutant(
        "no-look-before-clearing",
        "on a side that compares and writes in two steps, only a mark that stands alone is cleared",
        (Edit("routing.settle:settle", "if not exclusive:", "if True:"),),
        _documents("backfill-from-old", Fault.BESIDE, 5),
        UNMARKED,
    ),
    Mutant(
        "writers-do-not-wait",
        "what only the new side is given is not overwritten by a join that has looked before it",
        (
            Edit(
                "chroma.exclusion:Exclusion.joins_ended",
                "is not None and until > self._now()",
                "is not None and False",
            ),
        ),
        _documents("repair", Fault.BESIDE, 13),
        "lost or back",
    ),
    Mutant(
        "the-lease-is-ignored",
        "nobody clears a mark whose writer may still be at work",
        (Edit("models.marks:Mark.is_leased", "return ", "return False and "),),
        _documents("insert-at-live", Fault.DIES_LATE),
        UNMARKED,
    ),
    Mutant(
        "no-tombstone-for-a-message",
        "the deletion of a message is kept, and joined",
        (
            Edit(
                "testing.memory_session:SessionState.bury",
                "self.tombstones[tombstone.id] =",
                "self.messages.pop(tombstone.id, None)\n_ =",
            ),
        ),
        _chats("delete-messages-at-dualwrite", Fault.DIES),
        f"{BACK}|{OTHERWISE}",
        drawn=True,
    ),
    Mutant(
        "no-tombstone-for-a-document",
        "the deletion of a document is a version, kept and joined",
        (Edit("testing.memory_documents:MemoryDocuments._deleted", "deleted=self._next(key)", "deleted=0"),),
        _documents("delete-at-dualwrite", Fault.DIES),
        f"{UNMARKED}|{OTHERWISE}",
    ),
    Mutant(
        "cleared-is-ignored",
        "what was there when a session was cleared stays gone",
        (Edit("testing.memory_session:SessionState.sweep", "message.version < self.cleared or ", ""),),
        _chats("clear-at-dualwrite", Fault.DIES),
        BACK,
        drawn=True,
    ),
    Mutant(
        "the-older-version-wins",
        "of two states of a record the newer one stays, whichever arrives last",
        (
            Edit(
                "testing.memory_session:SessionState._join_messages",
                "not _gives_way(held, message, now)",
                "_gives_way(held, message, now)",
            ),
        ),
        _chats("edit-at-rampdown", Fault.DIES_SENT),
        f"{UNMARKED}|{OTHERWISE}",
        drawn=True,
    ),
    Mutant(
        "each-side-gives-positions",
        "the side that is written first gives the position, and the other takes it",
        (
            Edit(
                "testing.memory_session:SessionState._join_messages",
                "self.messages[message.id] = message",
                "self.messages[message.id] = replace(message, position=len(self.messages))",
            ),
        ),
        _chats("repair", Fault.DIES),
        f"{UNMARKED}|{UNEQUAL}",
        drawn=True,
    ),
    Mutant(
        "one-way-only",
        "a merge joins both sides into each other",
        (
            Edit(
                "routing.merge:merge_chat",
                "((sides.old, sides.new), (sides.new, sides.old))",
                "((sides.old, sides.new),)",
            ),
        ),
        _chats("repair", Fault.DIES),
        UNMARKED,
        drawn=True,
    ),
    Mutant(
        "the-repairer-clears-what-it-did-not-see",
        "a repairer clears the marks that it saw before it read",
        (
            Edit(
                "routing.merge:merge_chat",
                "await settle(sides, ripe,",
                "for side in (sides.old, sides.new):\n"
                "    ripe = [*ripe, *await side.journal.marks_of(marks[0].user_id, [marks[0].key])]\n"
                "await settle(sides, ripe,",
            ),
        ),
        _chats("repair", Fault.BESIDE, 1),
        UNMARKED,
        drawn=True,
    ),
    Mutant(
        "the-checkpoint-before-the-data",
        "the checkpoint moves only behind what was written",
        (
            Edit(
                "migration.backfill:_Backfill._done",
                "return sum(",
                "early = Checkpoint(started_at=utc_now()).moved(planned.walk, planned.cursor, Tallied()).encode()\n"
                "await self._progress.save_checkpoint(self._name, early, lease.holder)\n"
                "return sum(",
            ),
        ),
        _chats("backfill-from-old", Fault.DIES),
        f"{LOST}|{UNEQUAL}|{UNMARKED}",
    ),
    Mutant(
        "the-checkpoint-is-not-fenced",
        "a runner that lost its lease cannot move the checkpoint",
        (Edit("testing.memory_journal:MemoryProgress.save_checkpoint", "if self._holder() != holder:", "if False:"),),
        _chats("backfill-from-old", Fault.DIES_LATE),
        "a checkpoint is left",
    ),
    Mutant(
        "the-journal-is-opened-late",
        "the journals are open before the first page is read",
        (
            Edit(
                "migration.backfill:_Backfill._begin",
                "await journal.remember(journal_open=True)",
                "await journal.state()",
            ),
            Edit(
                "migration.backfill:_Backfill._do",
                "return await self._patience.until_done(lambda: self._runner(batch))",
                "did = await self._patience.until_done(lambda: self._runner(batch))\n"
                "for journal in self._copy.journals:\n    await journal.remember(journal_open=True)\n"
                "return did",
            ),
        ),
        _chats("backfill-from-old", Fault.BESIDE, 0),
        f"{LOST}|{UNEQUAL}|{UNMARKED}",
    ),
    Mutant(
        "no-catching-up-after-a-flip",
        "a call soon after a flip sees what its user wrote before it",
        (Edit("routing.reads:RoutedReads.catch_up", "if self._stages.unsettled(user_id):", "if False:"),),
        _chats("read-after-dualwrite-rampdown", Fault.FAILS),
        "not its own writes",
        drawn=True,
    ),
    Mutant(
        "the-caller-takes-the-write-along",
        "a cancelled call cancels the waiting, and no part of the write",
        (
            Edit(
                "routing.protect:WritesUnderWay.run",
                "task.add_done_callback(_report)",
                "task.cancel()",
            ),
        ),
        partial(check_no_half, _named(chats, "append-at-dualwrite"), ChatBench),
        "half: ",
    ),
]
