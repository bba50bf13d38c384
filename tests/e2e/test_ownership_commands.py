"""The commands where the layout does not say whose a session is, and where it has one kind of records only."""

import psycopg
import pytest
import redis

from chatstore.redis import CHAT_LAYOUTS, DOCUMENT_LAYOUTS
from tests.cli.conftest import program  # noqa: F401 - a fixture
from tests.e2e.langchain_app import say

CHAT_ONLY = min(name for name in CHAT_LAYOUTS.keys() - DOCUMENT_LAYOUTS.keys() if not CHAT_LAYOUTS[name].owned)


@pytest.fixture
def own(program, settings, redis_database, empty_supabase):  # noqa: F811 - the fixture
    """The settings of an app whose chats LangChain keeps; a table says whose they are, another who became who."""
    program.set(**{**settings.environment(), "REDIS_URL": redis_database}, CHATSTORE_CHAT_LAYOUT="langchain")
    (program.folder / "owners.csv").write_text(
        "key,user\nmessage_store:s1,ana\nmessage_store:s2,ben\nmessage_store:s3,eve\n"
    )
    (program.folder / "users.csv").write_text("old,new\nana,user_a\nben,user_b\n")
    program.set(CHATSTORE_OWNERS="csv:owners.csv", CHATSTORE_USERS="csv:users.csv")
    return settings


def test_what_is_nobodys_is_quarantined_named_and_taken_once_it_is_somebodys(program, own, redis_database):  # noqa: F811
    with redis.Redis.from_url(redis_database) as client:
        for name in ("s1", "s2", "s3", "s4"):
            say(client, name, "Hello.", "Hi!")
    done = program("migrate", "--chat")
    assert done.status == 1
    assert "chat: copied 2 sessions and 4 messages" in done.out
    listed = program("quarantine", "list", "--chat", "--json")
    assert listed.status == 1
    reasons = {record["key"]: record["reason"] for record in listed.json["chat"]["records"]}
    assert set(reasons) == {"message_store:s3", "message_store:s4"}
    assert "what the user 'eve' has become" in reasons["message_store:s3"]
    assert "nobody's" in reasons["message_store:s4"]

    with (program.folder / "owners.csv").open("a") as file:
        file.write("message_store:s4,ben\n")
    with (program.folder / "users.csv").open("a") as file:
        file.write("eve,user_e\n")
    done = program("migrate", "--chat")
    assert done.status == 0, done.err
    assert program("verify", "--chat").status == 0
    assert program("quarantine", "list", "--chat").status == 0
    with psycopg.connect(own.supabase_db_url) as connection:
        rows = connection.execute("select id, user_id from public.sessions order by id").fetchall()
    assert rows == [("s1", "user_a"), ("s2", "user_b"), ("s3", "user_e"), ("s4", "user_b")]


def test_a_session_that_the_mapping_gives_to_another_afterwards_stays_whose_it_is(program, own, redis_database):  # noqa: F811
    with redis.Redis.from_url(redis_database) as client:
        say(client, "s1", "Hello.")
    assert program("migrate", "--chat").status == 0
    (program.folder / "owners.csv").write_text("key,user\nmessage_store:s1,ben\n")
    assert program("migrate", "--chat").status == 1
    [record] = program("quarantine", "list", "--chat", "--json").json["chat"]["records"]
    assert "s1" in record["key"]
    assert "taken" in record["reason"]
    with psycopg.connect(own.supabase_db_url) as connection:
        assert connection.execute("select id, user_id from public.sessions").fetchall() == [("s1", "user_a")]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"CHATSTORE_OWNERS": ""},
            "the layout 'langchain' does not say whose a session is: say it in CHATSTORE_OWNERS",
        ),
        ({"CHATSTORE_OWNERS": "csv:lost.csv"}, "CHATSTORE_OWNERS names the file lost.csv, which cannot be read"),
        ({"CHATSTORE_OWNERS": "key:x"}, "CHATSTORE_OWNERS: the template 'x' has no {user}"),
        ({"CHATSTORE_OWNERS": "field:user"}, "CHATSTORE_OWNERS: a session of the layout 'langchain' has no field"),
        ({"CHATSTORE_USERS": "users.csv"}, "CHATSTORE_USERS is 'users.csv', which is not"),
        (
            {"CHATSTORE_CHAT_LAYOUT": "lost"},
            "CHATSTORE_CHAT_LAYOUT is 'lost'; there are agent-framework, chatstore, hash, ",
        ),
        (
            {"CHATSTORE_CHAT_LAYOUT": "", "CHATSTORE_LAYOUT": "lost"},
            "CHATSTORE_LAYOUT is 'lost'; there are agent-framework, chatstore, hash, ",
        ),
    ],
)
def test_a_setting_that_is_wrong_is_named_and_nothing_is_done(program, own, change, says):  # noqa: F811
    program.set(**change)
    done = program("migrate", "--chat")
    assert done.status == 2
    assert says in done.err


def test_a_layout_without_documents_has_none_in_redis(program, own):  # noqa: F811
    program.set(CHATSTORE_LAYOUT=CHAT_ONLY, CHATSTORE_CHAT_LAYOUT="", CHATSTORE_OWNERS="all:ana")
    done = program("migrate", "--documents")
    assert done.status == 2
    assert f"the layout '{CHAT_ONLY}' has no documents" in done.err
    assert "CHATSTORE_DOCUMENT_LAYOUT" in done.err
    done = program("migrate")
    assert done.status == 2
    assert "To do without documents: chatstore migrate --chat" in done.err
    assert set(program("status", "--json").json) == {"chat"}
    assert program("status", "--documents").status == 2


def test_what_redis_must_allow_is_told_before_anybody_said_whose_a_record_is(program):  # noqa: F811
    program.set(REDIS_URL="redis://localhost:6379/0", CHATSTORE_LAYOUT="langchain")
    done = program("acl", "migrate", "--json")
    assert done.status == 0, done.err
    assert "message_store:" in done.json["line"]
