"""The commands, called with what is no argument of theirs: one clear line says what is wrong, and does nothing to a terminal."""

import asyncio
import re

import pytest

from chatstore.models import Kind, Quarantined
from tests.cli.conftest import MemoryBackends, Program
from tests.migration.doubles import legacy_session

ESCAPES = "a\x1b[2J\x1b]0;owned\x07\r\n\u202e\x9b31m"
LONG = "x" * 100_000
SECRET = "hunter2"


@pytest.fixture
def program(monkeypatch, tmp_path):
    """The program over stores in memory, in a folder of its own."""
    memory = MemoryBackends()
    monkeypatch.setattr("chatstore.backends.Backends", memory)
    program = Program(monkeypatch, tmp_path)
    program.memory = memory
    program.set(CHATSTORE_FLAG_FILE=tmp_path / "flags.json")
    return program


def check_safe(done):
    """Check that nothing was printed that a terminal obeys, and nothing that only we understand."""
    for text in (done.out, done.err):
        assert not re.search(r"[^\n -~\u00a1-\u200d\u2010-\u2027\u2030-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", text)
        assert "Traceback" not in text
        assert "defect of chatstore" not in text
        assert len(text) < 3000


REFUSED = {
    "forget nobody": (["forget", "", "--yes"], "the user id is empty"),
    "forget 100,000 letters": (["forget", LONG, "--yes"], "the user id has 100000 bytes"),
    "forget a surrogate": (["forget", "a\udcff", "--yes"], "lone surrogate"),
    "forget without an answer": (["forget", ESCAPES], "give --yes"),
    "forget nobody at all": (["forget"], "USER"),
    "stage of nobody": (["stage", "chat", "live", "--user", ""], "the user id is empty"),
    "stage of 100,000 letters": (["stage", "chat", "live", "--user", LONG], "100000 bytes"),
    "stage of a surrogate": (["stage", "chat", "live", "--user", "\ud800"], "lone surrogate"),
    "stage of somebody and a share": (
        ["stage", "chat", "live", "--user", "u", "--percent", "5"],
        "cannot be set at once",
    ),
    "stage of no kind": (["stage", ESCAPES, "live"], "chat"),
    "no stage": (["stage", "chat", ESCAPES], "dualwrite"),
    "a share that is none": (["stage", "chat", "live", "--percent", "101"], "less than or equal to 100"),
    "a share that is no number": (["stage", "chat", "live", "--percent", ESCAPES], "integer"),
    "stage for somebody, but which": (["stage", "--user", ESCAPES], "give the stage"),
    "quarantine of nothing": (["quarantine", "show", ""], "nothing in quarantine has the key"),
    "quarantine of an escape": (["quarantine", "show", ESCAPES], "nothing in quarantine has the key"),
    "quarantine of 100,000 letters": (["quarantine", "show", LONG], "nothing in quarantine has the key"),
    "quarantine of a surrogate": (["quarantine", "show", "\udcff"], "nothing in quarantine has the key"),
    "quarantine into no folder": (["quarantine", "export", "no/such\x1b[2J/file"], "no/such"),
    "quarantine into a folder": (["quarantine", "export", "."], "."),
    "quarantine into NUL": (["quarantine", "export", "a\0b"], "null"),
    "quarantine limit": (["quarantine", "list", "--limit", "0"], "greater than or equal to 1"),
    "a rate that is none": (["migrate", "--rate", ESCAPES], "is no rate"),
    "a rate of nothing": (["migrate", "--rate", "0"], "is no rate"),
    "a rate that is negative": (["migrate", "--rate", "-5"], "is no rate"),
    "a rate of NaN": (["migrate", "--rate", "nan"], "is no rate"),
    "a rate beyond all": (["migrate", "--rate", "1e999"], "is no rate"),
    "a latency that is none": (["limits", "--max-latency", ESCAPES], "is no time"),
    "a part of the day that is none": (["migrate", "--between", "25:00-06:00"], "is no part of a day"),
    "a zone that is a file": (["migrate", "--between", "22:00-06:00 ../../etc/passwd"], "no time zone"),
    "a zone that is an escape": (["migrate", "--between", f"22:00-06:00 {ESCAPES}"], "is no part of a day"),
    "claims that are no JSON": (["verify", "--as-user", "--claims", ESCAPES], "--claims"),
    "claims that are deep": (["verify", "--as-user", "--claims", "[" * 100_000], "--claims"),
    "a user without --as-user": (["verify", "--user", ESCAPES], "--as-user"),
    "a report into no folder": (["migrate", "--report", "no/such\x1b[2J/page.html"], "no/such"),
    "a report into a folder": (["migrate", "--report", "."], "."),
    "an unknown command": ([ESCAPES], "No such command"),
    "an unknown option": (["migrate", "--a\x1b[2J"], "No such option"),
}


@pytest.mark.parametrize(("arguments", "says"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_argument_is_refused(program, arguments, says):
    done = program(*arguments)
    # A question that nobody answers ends its line.
    assert (done.status, done.out.strip()) == (2, "")
    assert says in done.err
    check_safe(done)


SETTINGS = {
    "REDIS_URL": (
        "redis://[::1",
        "redis://:@",
        "http://x",
        "redis://h:99999",
        "redis://h:port",
        "redis://",
        f"redis://u:{SECRET}@",
        "redis://h/\n",
        "redis://a b",
        "gopher://h",
        "redis://h/notanumber",
        f"://{SECRET}@h",
    ),
    "SUPABASE_URL": (
        "https://",
        "file:///etc/passwd",
        f"https://u:{SECRET}@h.supabase.co",
        "https://h:99999",
        "javascript:1",
    ),
    "SUPABASE_DB_URL": ("postgres://", "mysql://h/db", f"postgresql://u:{SECRET}@h:x/db"),
    "CHROMA_URL": ("localhost:8000", "http://", "http://[", f"http://u:{SECRET}@h:70000"),
    "CHATSTORE_LAYOUT": ("../hash", "HASH", ESCAPES, LONG),
    "CHATSTORE_OWNERS": ("eval:1", "call:os.system", "call:", "csv:/no/such/file", "key:{", ESCAPES, "all:"),
    "CHATSTORE_USERS": ("csv:/no/such/file", "all:x", ESCAPES),
    "CHATSTORE_STAGE": ("LIVE", ESCAPES, LONG),
    "CHATSTORE_COLLECTIONS": ("many", ESCAPES),
    "CHATSTORE_QUARANTINE": ("yes", ESCAPES),
}


AWAY = {
    "REDIS_URL": "redis://127.0.0.1:1",
    "SUPABASE_URL": "http://127.0.0.1:1",
    "SUPABASE_SECRET_KEY": "sb_secret_x",
    "SUPABASE_DB_URL": "postgres://127.0.0.1:1/x",
    "CHROMA_URL": "http://127.0.0.1:1",
}


@pytest.mark.parametrize("name", SETTINGS)
def test_what_is_no_setting_is_named_and_not_shown(monkeypatch, tmp_path, name):
    program = Program(monkeypatch, tmp_path)
    for value in SETTINGS[name]:
        program.set(**{**AWAY, name: value})
        done = program("migrate")
        assert (done.status, done.out) == (2, ""), value
        assert name in done.err, value
        assert SECRET not in done.err
        check_safe(done)


KEYS = {
    "an escape": f"session:{ESCAPES}",
    "a surrogate's escape": "session:\\udcff",
    "a format": "session:{0}%s",
    "markup": "[bold]session[/bold]<script>",
    "a path": "../../etc/passwd",
    "an option": "--help",
}


def test_odd_keys_are_listed_shown_and_exported(program):
    bad = [Quarantined(key=key, reason=ESCAPES, raw=ESCAPES.encode(), size=9) for key in KEYS.values()]
    asyncio.run(program.memory.runs[Kind.CHAT].quarantine(bad))
    listed = program("quarantine", "list")
    check_safe(listed)
    assert listed.status == 1
    shown = [line for line in listed.out.splitlines() if "session" in line or "passwd" in line or "--help" in line]
    assert len(shown) == len(KEYS)
    for key in KEYS.values():
        done = program("quarantine", "show", "--", key)
        check_safe(done)
        assert (done.status, "9 bytes" in done.out) == (0, True)
    assert program("quarantine", "export", "all.jsonl").status == 0
    assert (program.folder / "all.jsonl").read_text().count("\n") == len(KEYS)


def test_odd_ids_in_the_data_do_nothing_to_a_terminal(program):
    sessions = [legacy_session(ESCAPES, ESCAPES, "b"), legacy_session("[red]x[/red]", "a")]
    asyncio.run(program.memory.chat.old.put(sessions))
    assert program("migrate", "--chat").status == 0
    asyncio.run(program.memory.chat.new.put([legacy_session(f"{ESCAPES}2", ESCAPES)]))
    for arguments in (["verify", "--chat"], ["verify", "--chat", "--json"], ["status"]):
        check_safe(program(*arguments))


def test_a_stage_of_an_odd_user_is_shown_so_that_it_does_nothing(program):
    for arguments in (["stage", "chat", "dualwrite"], ["stage", "chat", "off", "--user", ESCAPES], ["stage", "chat"]):
        done = program(*arguments)
        check_safe(done)
        assert done.status == 0
