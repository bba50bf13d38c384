"""The other commands over stores in memory: their reports, their exit statuses, their progress."""

import asyncio
import base64
import io
import re
from dataclasses import replace
from datetime import timedelta

import pytest
from rich.console import Console

from chatstore.cli import bars
from chatstore.errors import InvalidRecordError
from chatstore.migration import ProgressEvent, Step, Tally
from chatstore.migration.checkpoint import Checkpoint, run_name
from chatstore.migration.snapshot import VERIFY, Snapshot
from chatstore.models import CreateSession, DeleteSession, Kind, LoadSeen, Mark, Quarantined, Side, utc_now
from chatstore.testing import MemoryChat, MemoryDocuments
from tests.migration.doubles import legacy_document, legacy_session

BAD = Quarantined(key="session:b\x1b[2J", reason="no\nJSON", raw=b"\xff\x1b" + b"x" * 100, size=102)


@pytest.fixture
def filled(memory):
    asyncio.run(memory.chat.old.put([legacy_session("s1", "a", "b"), legacy_session("s2", "c")]))
    asyncio.run(memory.documents.old.put([legacy_document("d1")]))
    return memory


def test_migrate_then_verify(program, filled):
    done = program("migrate")
    assert done.status == 0
    assert "chat: copied 2 sessions and 3 messages" in done.out
    assert "documents: copied 1 document " in done.out
    assert done.err.endswith("next: chatstore verify\n")
    done = program("verify")
    assert done.status == 0
    assert "chat: equal; compared 2 sessions and 3 messages on the old side" in done.out
    assert "next: chatstore stage chat shadow" in done.err


def test_one_kind_alone(program, filled):
    assert set(program("migrate", "--documents", "--json").json) == {"documents"}
    assert set(program("verify", "--documents", "--json").json) == {"documents"}
    assert set(program("migrate", "--chat", "--documents", "--json").json) == {"chat", "documents"}


def test_migrate_reports_in_json(program, filled):
    report = program("migrate", "--json").json["chat"]
    assert report.pop("seconds") >= 0
    assert report == {
        "source": "old",
        "target": "new",
        "copied": {"sessions": 2, "messages": 3, "documents": 0},
        "unchanged": {"sessions": 0, "messages": 0, "documents": 0},
        "quarantined": 0,
        "retries": 0,
        "resumed": False,
        "source_load": None,
        "target_load": None,
        "notes": [],
    }


def test_migrate_back_fills_an_old_side_that_was_emptied(program, filled):
    program("migrate")
    filled.chat = replace(filled.chat, old=MemoryChat(Side.OLD))
    filled.documents = replace(filled.documents, old=MemoryDocuments(Side.OLD))
    done = program("migrate", "--back")
    assert done.status == 0
    assert "chat: copied back 2 sessions and 3 messages" in done.out
    assert "documents: copied back 1 document " in done.out
    assert done.err.endswith("next: chatstore verify\n")
    assert asyncio.run(filled.chat.old.count()).messages == 3
    report = program("migrate", "--back", "--chat", "--json").json["chat"]
    assert (report["source"], report["target"]) == ("new", "old")


def test_the_way_back_that_was_closed_is_opened_by_two_commands_and_leads_to_off(program, filled):
    program.set(CHATSTORE_FLAG_FILE=program.folder / "flags.json")
    for command in ("migrate --chat", "verify --chat", "stage chat complete"):
        assert program(*command.split()).status == 0
    assert program("stage", "chat", "complete", "--close-way-back", "--yes").status == 0
    asyncio.run(filled.chat.new.write(CreateSession(user_id="u", session_id="s3"), unmarked := one_sided("s3")))
    refused = program("stage", "chat", "dualwrite")
    assert refused.status == 2
    assert "To open it again, run `chatstore migrate --back`, then `chatstore verify`" in refused.err

    for arguments in (["--chat"], []):
        behind = program("migrate", *arguments)
        assert behind.status == 2
        assert "Redis may be behind since the way back was closed" in behind.err
        assert "run `chatstore migrate --back --chat`, then `chatstore verify --chat`" in behind.err

    differing = program("verify", "--chat")
    assert (differing.status, "next: chatstore migrate --back --chat" in differing.err) == (1, True)
    assert program("migrate", "--back", "--chat").status == 0
    assert program("stage", "chat", "dualwrite").status == 2
    verified = program("verify", "--chat")
    assert (verified.status, "chat: the way back is open again" in verified.out) == (0, True)
    assert verified.err.endswith("next: chatstore stage chat rampdown, then chatstore repair --chat\n")

    asyncio.run(filled.chat.new.write(DeleteSession(user_id="u", session_id="s1"), replace(unmarked, key="s1")))
    assert program("stage", "chat", "rampdown").status == 0
    assert program("repair", "--chat").status == 0
    for stage in ("dualwrite", "off"):
        assert program("stage", "chat", stage).status == 0
    assert asyncio.run(filled.chat.old.count()).sessions == 2
    assert asyncio.run(filled.chat.old.get_session("u", "s3")).id == "s3"


def one_sided(session_id):
    return Mark(key=session_id, user_id="u", side=Side.NEW, op="test", while_open=True)


def test_verify_before_any_migrate_does_not_count(program, memory):
    done = program("verify", "--chat")
    assert done.status == 2
    assert "not recorded as verified, because no backfill has come to its end: chatstore migrate --chat" in done.err


def test_a_document_that_the_index_does_not_find_is_not_said_to_be_mended_by_a_migrate(program, filled, monkeypatch):
    async def finds_nothing(*_, **__):
        return []

    program("migrate", "--documents")
    monkeypatch.setattr(filled.documents.new, "search_by_embedding", finds_nothing)
    done = program("verify", "--documents")
    assert (done.status, "  index  " in done.out) == (1, True)
    advice = done.err[done.err.index("index: ") :]
    assert "1 document in Chroma not found by its search index, which migrate does not mend: write each anew" in advice
    assert "another program" not in advice
    assert advice.endswith("next, when that is done: chatstore verify --documents\n")


def test_verify_lists_differences_by_record_and_field(program, filled):
    program("migrate", "--chat")
    edited = legacy_session("s1", "a", "b")
    other = replace(edited.messages[1], content="other", version=edited.session.version + 1)
    asyncio.run(filled.chat.new.put([replace(edited, messages=(other,))]))
    done = program("verify", "--chat")
    assert done.status == 1
    assert "chat: 1 difference; " in done.out
    assert "  session/s1/message/m1  content  old: 1 characters, sha256 " in done.out
    assert "next: chatstore migrate --chat, then chatstore verify --chat" in done.err
    [difference] = program("verify", "--chat", "--json").json["chat"]["differences"]
    assert (difference["key"], difference["field"]) == ("session/s1/message/m1", "content")


def test_repair_merges_what_is_marked(program, filled):
    made = Mark(key="s1", user_id="u", side=Side.OLD, op="append")
    asyncio.run(filled.chat.old.journal.add([made]))
    done = program("repair", "--chat")
    assert (done.status, done.out) == (0, "chat: 1 mark cleared, 0 left to writers that are at work\n")
    assert asyncio.run(filled.chat.new.count()).sessions == 1
    assert program("repair", "--json").json["documents"].items() >= {"merged": 0, "left": 0, "quarantined": 0}.items()


def test_a_repair_that_does_not_watch_has_no_use_for_notifications(program, memory):
    done = program("repair", "--enable-notifications")
    assert done.status == 2
    assert "--watch" in done.err


def test_quarantine_is_listed_in_safe_characters_and_bounds_without_what_is_in_it(program, memory):
    asyncio.run(memory.runs[Kind.CHAT].quarantine([BAD, replace(BAD, key="two")]))
    done = program("quarantine", "list", "--limit", 1)
    assert done.status == 1
    assert done.out.splitlines() == [
        "chat: 2 records in quarantine",
        "  session:b\\x1b[2J",
        "    no\\nJSON",
        "    102 bytes, kept as it is",
        "  … and 1 more: chatstore quarantine list --chat --limit 2",
        "documents: 0 records in quarantine",
    ]
    assert "chatstore:{chat}:quarantine" in done.err
    listed = program("quarantine", "list", "--chat", "--json").json["chat"]
    assert (listed["count"], len(listed["records"])) == (2, 2)
    assert set(listed["records"][0]) == {"key", "reason", "size", "at", "kept"}
    assert program("quarantine", "list", "--documents").status == 0


def test_what_is_in_quarantine_is_shown_by_its_key_in_safe_characters(program, memory):
    asyncio.run(memory.runs[Kind.CHAT].quarantine([BAD, replace(BAD, key="two", raw=b"abc")]))
    done = program("quarantine", "show", r"session:b\x1b[2J")
    assert done.status == 0
    assert done.out.splitlines() == [
        "session:b\\x1b[2J",
        "  no\\nJSON",
        "  102 bytes, kept as it is",
        "  \\xff\\x1b" + "x" * 100,
    ]
    [record] = program("quarantine", "show", "two", "--json").json["records"]
    assert base64.b64decode(record["raw_base64"]) == b"abc"
    gone = program("quarantine", "show", "three")
    assert gone.status == 2
    assert "nothing in quarantine has the key three" in gone.err


def test_what_migrate_could_not_take_is_counted(program, memory, monkeypatch):
    async def refuses(self, changes):
        if any(change.session_id == "bad" for change in changes):
            raise InvalidRecordError("this side cannot hold it")
        await put(self, changes)

    put = type(memory.chat.new).put
    asyncio.run(memory.chat.old.put([legacy_session("good", "a"), legacy_session("bad", "b")]))
    monkeypatch.setattr(type(memory.chat.new), "put", refuses)
    done = program("migrate", "--chat")
    assert done.status == 1
    assert "could not take" in done.out
    assert "chatstore quarantine list --chat" in done.out


def test_a_sweep_removes_what_has_expired_on_the_new_side(program, memory):
    now = utc_now()
    session, document = legacy_session("s", "a", "b"), legacy_document("d")
    asyncio.run(memory.chat.new.put([session, legacy_session("kept", "c")]))
    asyncio.run(memory.documents.new.put([document]))
    state = memory.chat.new._states["s"]
    state.session = replace(session.session, expires_at=now)
    memory.documents.new._states["d"] = replace(document, document=replace(document.document, expires_at=now))
    done = program("sweep")
    assert done.out == "chat: 1 session and 2 messages removed\ndocuments: 1 document removed\n"
    assert program("sweep", "--json").json == {
        "chat": {"sessions": 0, "messages": 0, "tombstones": 0, "more": False},
        "documents": {"documents": 0, "left": 0},
    }
    assert asyncio.run(memory.chat.new.count()).messages == 1


def test_a_sweep_needs_no_old_side_and_no_new_side_of_the_other_kind(program, memory, monkeypatch):
    memory.away.add(Side.OLD)
    assert program("sweep", "--chat").status == 0
    assert program("sweep").status == 2
    monkeypatch.setattr(type(memory), "has_new", lambda _self, kind: kind is Kind.CHAT)
    assert set(program("sweep", "--json").json) == {"chat"}


def test_status_shows_where_both_kinds_stand(program, filled):
    program("migrate", "--chat")
    program("verify", "--chat")
    made = Mark(key="s1", user_id="u", side=Side.NEW, op="append")
    asyncio.run(filled.chat.new.journal.add([made]))
    done = program("status")
    assert done.status == 0
    lines = [" ".join(line.split()) for line in done.out.splitlines()]
    assert lines[:2] == ["chat", "stage none (recorded)"]
    assert any(line.startswith("new side 1 mark, the oldest ") for line in lines)
    assert "verified never" in lines
    document = program("status", "--json").json
    assert document["chat"]["sides"]["new"]["marks"] == 1
    assert document["chat"]["state"]["verified_at"] is not None
    assert document["documents"]["state"]["journal_open"] is False


@pytest.mark.parametrize(("away", "known"), [(Side.NEW, 0), (Side.OLD, None)])
def test_status_works_when_one_side_is_away(program, memory, away, known):
    memory.away.add(away)
    done = program("status", "--chat")
    assert done.status == 2
    assert f"away: the {away} server does not answer: check that it runs" in done.out
    document = program("status", "--chat", "--json").json["chat"]
    assert document["sides"][away] == {
        "reachable": False,
        "error": f"the {away} server does not answer: check that it runs",
    }
    assert document["sides"][away.other]["reachable"]
    assert document["quarantined"] == known


def test_status_when_both_sides_are_away(program, memory):
    memory.away.update(Side)
    done = program("status", "--chat")
    assert (done.status, done.out) == (2, "")
    assert "the old server does not answer" in done.err
    assert "the new server does not answer" in done.err


EVENT = ProgressEvent(
    kind=Kind.CHAT, step=Step.COPY, done=1200, total=4000, rate=50.0, average=40.0, left=56.0, quarantined=2
)
RUN = Snapshot(
    run=run_name(Side.OLD), host="w\x1b1", pid=77, started_at=utc_now(), at=utc_now(), event=replace(EVENT, seconds=150)
)


def tell(memory, snapshot, holder=None):
    asyncio.run(memory.runs[Kind.CHAT].save_report(snapshot.run, snapshot.encode(), holder=holder, seconds=60))


def row(text, label):
    return next((line.split(None, 1)[1] for line in text.splitlines() if line.split()[0] == label), None)


def test_status_shows_a_migrate_that_runs_in_another_process(program, memory):
    progress = memory.runs[Kind.CHAT]
    asyncio.run(progress.acquire("w1:77", 60))
    asyncio.run(progress.save_checkpoint(RUN.run, Checkpoint(started_at=utc_now()).encode(), "w1:77"))
    tell(memory, replace(RUN, at=utc_now()), "w1:77")
    done = program("status", "--chat")
    assert done.status == 0
    assert row(done.out, "migrate") == (
        "running on w\\x1b1 (pid 77) for 2 min: copy, 1,200 of about 4,000, 50/s, about 56.0 s left, 2 in quarantine"
    )
    document = program("status", "--chat", "--json").json["chat"]
    [run] = document["runs"]
    assert (run["run"], run["pid"], run["step"], run["done"], run["left"]) == ("migrate", 77, "copy", 1200, 56.0)
    assert document["lease"] == "w1:77"


def test_status_shows_a_migrate_that_was_stopped_and_how_it_goes_on(program, memory):
    progress = memory.runs[Kind.CHAT]
    reached = Checkpoint(started_at=utc_now(), copied=Tally(sessions=10), unchanged=Tally(messages=2000))
    asyncio.run(progress.acquire("w1:77", 60))
    for side in Side:
        asyncio.run(progress.save_checkpoint(run_name(side), reached.encode(), "w1:77"))
    assert "held by w1:77, which tells nothing" in row(program("status", "--chat").out, "lease")
    asyncio.run(progress.release("w1:77"))
    out = program("status", "--chat").out
    assert row(out, "migrate") == "stopped behind 2,010 records: chatstore migrate --chat goes on"
    assert row(out, "back") == "stopped behind 2,010 records: chatstore migrate --back --chat goes on"
    document = program("status", "--chat", "--json").json["chat"]
    assert (document["checkpoint"]["copied"]["sessions"], document["lease"], document["runs"]) == (10, None, [])


def test_status_shows_a_verify_and_since_when_it_was_not_heard_of(program, memory):
    tell(memory, replace(RUN, run=VERIFY, at=utc_now() - timedelta(seconds=8)))
    heard = re.search(r"last heard of (.+) s ago$", row(program("status", "--chat").out, "verify"))
    assert 8 <= float(heard[1]) < 60


def test_status_does_without_a_run_of_another_version(program, memory):
    asyncio.run(memory.runs[Kind.CHAT].save_report(VERIFY, '{"run": 1}', holder=None, seconds=60))
    done = program("status", "--chat")
    assert (done.status, row(done.out, "verify")) == (0, None)
    assert "of another version of chatstore" in done.err


def test_status_counts_the_quarantined(program, memory):
    asyncio.run(memory.runs[Kind.DOCUMENTS].quarantine([BAD]))
    done = program("status")
    assert done.status == 1
    assert "quarantine  1 record" in done.out


def test_log_lines_of_one_kind_are_bounded(program, memory, monkeypatch):
    many = [legacy_session(f"s{number}", "a") for number in range(100)]

    async def refuses(_self, _changes):
        raise InvalidRecordError("nothing fits")

    asyncio.run(memory.chat.old.put(many))
    monkeypatch.setattr(type(memory.chat.new), "put", refuses)
    done = program("migrate", "--chat")
    assert done.status == 1
    assert done.err.count("goes to quarantine") < 30
    assert "further lines of this kind are left out" in done.err


BUSY = replace(
    EVENT,
    retries=3,
    unchanged=100,
    at_once=4,
    writing=2e-5,
    source_load=LoadSeen(latency=0.0003, latency_before=0.0002, latency_worst=0.001, cpu_share=0.25),
    limited="500 records a second",
)


def shown(monkeypatch, width, *events):
    """Return what a terminal of some width shows at last."""
    screen = io.StringIO()
    monkeypatch.setattr(
        bars, "Console", lambda stderr: Console(file=screen, force_terminal=True, width=width, legacy_windows=False)
    )
    with bars.progress_shown() as on_progress:
        for event in events:
            on_progress(event)
    last = screen.getvalue().rpartition("\x1b[2K")[2]
    return [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in last.splitlines()]


def test_a_terminal_gets_a_bar_and_below_it_what_was_met_and_how_fast_the_servers_are(monkeypatch):
    bar, met, servers, *_ = shown(monkeypatch, 120, BUSY)
    assert bar.strip().startswith("chat: copy ━")
    assert bar.strip().endswith("━ 30%, 50/s, about 56.0 s left")
    assert met.strip() == "1,200 of about 4,000, 2 in quarantine, 3 retries, 100 there already"
    assert servers.strip() == (
        "source 300 µs (25% of a CPU), target 20 µs a record, 4 batches at once, limited: 500 records a second"
    )


@pytest.mark.parametrize("width", [20, 40, 80])
def test_a_narrow_terminal_gets_lines_that_are_cut_rather_than_wrapped(monkeypatch, width):
    for event in (BUSY, replace(BUSY, step=Step.WAIT, waiting_for="x" * 500), replace(BUSY, paused="p" * 500)):
        lines = shown(monkeypatch, width, event)
        assert len([line for line in lines if line.strip()]) == 3
        assert max(map(len, lines)) <= width


def test_a_servers_reason_is_cut_and_says_so_but_never_what_lets_the_run_go_on(capsys):
    with bars.progress_shown() as on_progress:
        on_progress(replace(EVENT, waiting_for="x" * 500))
        on_progress(replace(EVENT, paused="p" * 500, limited="l" * 500))
        on_progress(replace(EVENT, step=Step.REPAIR, limited="l" * 500))
    waits, paused, limited = capsys.readouterr().err.splitlines()
    assert waits.startswith(f"chat: waits: {'x' * 99}…: ")
    assert "p" * 500 in paused
    assert "l" * 500 in limited


def test_elsewhere_lines_come_when_something_begins(capsys):
    with bars.progress_shown() as on_progress:
        on_progress(EVENT)
        on_progress(replace(EVENT, done=1300))
        on_progress(replace(EVENT, step=Step.WAIT, waiting_for="Redis\x1b[2J"))
        on_progress(replace(EVENT, paused="paused"))
        on_progress(replace(EVENT, step=Step.REPAIR, total=None, quarantined=0, rate=0.0, average=0.0, left=None))
    assert capsys.readouterr().err.splitlines() == [
        "chat: copy: 1,200 of about 4,000, 50/s, about 56.0 s left, 2 in quarantine",
        "chat: waits: Redis\\x1b[2J: 1,200 of about 4,000, 50/s, 2 in quarantine",
        "chat: paused: 1,200 of about 4,000, 50/s, 2 in quarantine",
        "chat: repair: 1,200",
    ]
