"""What holds for every command: its help, its errors, its exit status, and what goes to which stream."""

import pytest

import chatstore.migration
from chatstore.cli.migrate import _document, _lines
from chatstore.cli.output import duration, number, printable
from chatstore.migration import BackfillReport
from chatstore.migration.reports import Tally
from chatstore.models import Kind, Side

COMMANDS = [
    ("up",),
    ("down",),
    ("schema",),
    ("inspect",),
    ("migrate",),
    ("verify",),
    ("repair",),
    ("status",),
    ("quarantine", "list"),
    ("quarantine", "show"),
    ("quarantine", "export"),
    ("quarantine", "key"),
    ("stage",),
    ("sweep",),
    ("forget",),
]
NEEDING_SERVERS = [
    ("schema", "--apply"),
    ("inspect",),
    ("migrate",),
    ("verify",),
    ("repair",),
    ("status",),
    ("quarantine", "list"),
    ("quarantine", "show", "k"),
    ("quarantine", "export", "q.jsonl"),
    ("stage", "chat", "dualwrite"),
    ("sweep",),
    ("forget", "u", "--yes"),
]
SECRET = "hunter2"
CLIENT_LIBRARIES = {"chromadb", "numpy.testing", "openfeature", "psycopg", "redis", "rich", "supabase", "httpx"}


def name(command):
    return " ".join(command)


@pytest.mark.parametrize("command", COMMANDS, ids=name)
def test_help_has_an_example(program, command):
    done = program(*command, "--help")
    assert done.status == 0
    assert f"Example:  chatstore {name(command)}" in done.out


@pytest.mark.parametrize("command", COMMANDS, ids=name)
def test_every_command_takes_json(program, command):
    assert "--json" in program(*command, "--help").out


def test_the_list_of_commands_cuts_no_sentence(program):
    listed = program("--help").out.partition("Commands:")[2]
    assert "..." not in listed


def test_help_imports_no_client_library(program):
    code = (
        "import sys; from chatstore.cli import app\n"
        "try: app(['--help'])\n"
        f"except SystemExit: print(sorted({CLIENT_LIBRARIES!r} & set(sys.modules)), file=sys.stderr)"
    )
    done = program.python(code)
    assert done.err.strip() == "[]"


def test_version(program):
    assert program("--version").out.startswith("chatstore 0.")


def test_python_m_chatstore_is_chatstore(program):
    assert program.apart("--version").out == program("--version").out


@pytest.mark.parametrize("command", NEEDING_SERVERS, ids=name)
def test_a_missing_setting_is_named_with_what_it_is_for(program, command):
    done = program(*command)
    assert (done.status, done.out) == (2, "")
    assert "is not set: it is the " in done.err
    assert "Traceback" not in done.err


def test_an_error_is_one_json_object_where_json_was_asked_for(program):
    done = program("migrate", "--json")
    assert done.status == 2
    assert done.json["error"]["type"] == "ConfigurationError"
    assert "REDIS_URL is not set" in done.json["error"]["message"]
    assert "REDIS_URL is not set" in done.err


def test_where_only_one_kind_has_its_settings_the_command_for_it_is_named(program):
    program.set(REDIS_URL="redis://127.0.0.1:1", CHROMA_URL="http://127.0.0.1:1")
    done = program("migrate")
    assert done.status == 2
    assert "SUPABASE_URL is not set" in done.err
    assert "chatstore migrate --documents" in done.err


def test_a_malformed_setting_is_named_and_not_shown(program):
    program.set(REDIS_URL=f"http://u:{SECRET}@host")
    done = program("status")
    assert done.status == 2
    assert "REDIS_URL is malformed" in done.err
    assert SECRET not in done.err


@pytest.mark.parametrize("command", [*NEEDING_SERVERS, ("migrate", "--documents")], ids=name)
def test_a_server_that_is_away_is_named_with_what_to_check_and_without_its_password(program, command):
    program.set(
        REDIS_URL=f"redis://user:{SECRET}@127.0.0.1:1/0",
        SUPABASE_URL="http://127.0.0.1:1",
        SUPABASE_SECRET_KEY=SECRET,
        SUPABASE_DB_URL=f"postgresql://user:{SECRET}@127.0.0.1:1/db",
        CHROMA_URL="http://127.0.0.1:1",
        CHATSTORE_FLAG_FILE=program.folder / "flags.json",
    )
    done = program(*command)
    assert (done.status, done.out) == (2, "")
    assert "127.0.0.1" in done.err
    assert "Traceback" not in done.err
    assert SECRET not in done.err


def fails(*_args, **_kwargs):
    raise RuntimeError(f"the password is {SECRET}\n")


@pytest.mark.usefixtures("memory")
def test_an_unexpected_error_is_one_line_that_keeps_secrets(program, monkeypatch):
    monkeypatch.setattr(chatstore.migration, "backfill_chat", fails)
    done = program("migrate", "--chat")
    assert done.status == 2
    assert done.err.count("\n") == 1
    assert "unexpected RuntimeError at cli/test_program.py" in done.err
    assert "report it" in done.err
    assert SECRET not in done.err


@pytest.mark.usefixtures("memory")
def test_debug_shows_the_traceback(program, monkeypatch):
    monkeypatch.setattr(chatstore.migration, "backfill_chat", fails)
    done = program("--debug", "migrate", "--chat")
    assert done.status == 2
    assert "Traceback" in done.err


@pytest.mark.parametrize("wrong", [("nothing",), ("migrate", "--all"), ("stage", "live"), ("stage", "chat", "on")])
def test_wrong_use_is_status_2(program, wrong):
    done = program(*wrong)
    assert (done.status, done.out) == (2, "")
    assert "Usage: chatstore" in done.err


def test_the_schema_is_printed(program):
    assert "create table if not exists public.messages" in program("schema").out
    assert "public.messages" in program("schema", "--json").json["sql"]


def test_text_from_data_cannot_reach_the_terminal_as_it_is():
    assert printable("\x1b[2Jä\n\ud800日") == "\\x1b[2Jä\\n\\ud800日"


def test_numbers_and_durations_read_well():
    assert number(1, "session") == "1 session"
    assert number(1234, "mark") == "1,234 marks"
    assert [duration(seconds) for seconds in (0.25, 59, 150, 9000, 200_000)] == [
        "0.2 s",
        "59.0 s",
        "2 min",
        "2 h",
        "2 days",
    ]


def test_what_a_layout_never_stored_is_told_with_what_was_copied():
    notes = ("It never stored times.",)
    report = BackfillReport(
        kind=Kind.DOCUMENTS,
        source=Side.OLD,
        target=Side.NEW,
        copied=Tally(documents=2),
        quarantined=0,
        resumed=False,
        seconds=1.0,
        notes=notes,
    )
    assert "documents: note: It never stored times." in _lines(report)
    assert _document(report)["notes"] == notes
