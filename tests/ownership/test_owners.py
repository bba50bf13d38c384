"""Whose a record is: by a table, a field, one user for all, or a function of the app's."""

import csv
import logging
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import chatstore
from chatstore.errors import ConfigurationError
from chatstore.ownership import as_owners, load_owners

ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


def table(folder, text, name="owners.csv"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return f"csv:{path}"


def reason(setting, load=load_owners):
    with pytest.raises(ConfigurationError) as caught:
        load(setting)
    return str(caught.value)


def test_each_form_of_the_setting_makes_its_mapping(tmp_path):
    assert load_owners("key:chat:{user}:*").owner_of("chat:ann:1") == "ann"
    assert load_owners(table(tmp_path, "key,user\nchat:1,ann\n")).owner_of("chat:1") == "ann"
    assert load_owners("all:public").owner_of("anything") == "public"
    assert load_owners("call:tests.ownership.sample:owner_of").owner_of("chat:ann:1") == "ann"
    by_field = load_owners("field:user_id")
    assert (by_field.field, by_field.owner_of("chat:ann:1")) == ("user_id", None)


@pytest.mark.parametrize("setting", ["", "nobody", "template:{user}", "all:", "csv:", "key", "field:"])
def test_what_is_no_form_is_told_the_forms(setting):
    assert all(form in reason(setting) for form in ("key:", "csv:", "field:", "all:", "call:"))


def test_an_error_names_the_setting_that_it_is_in():
    with pytest.raises(ConfigurationError, match=r"CHATSTORE_DOCUMENT_OWNERS.*no {user}"):
        load_owners("key:chat:*", name="CHATSTORE_DOCUMENT_OWNERS")


def test_a_table_may_have_a_byte_order_mark_quotes_line_breaks_and_other_columns(tmp_path):
    text = '\ufeffuser,note,key\r\nann,x,"a,""b"\r\n\r\nbob,,"c\r\nd"\r\n" eve ",,cafe\u0301\r\n'
    owners = load_owners(table(tmp_path, text))
    found = [owners.owner_of(key) for key in ('a,"b', "c\r\nd", "cafe\u0301", "caf\u00e9", "c")]
    assert found == ["ann", "bob", " eve ", None, None]


@given(st.dictionaries(ids, ids, min_size=1, max_size=8))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_a_table_of_any_text_is_read_as_it_is(tmp_path, users):
    path = tmp_path / "any.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([("key", "user"), *users.items()])
    owners = load_owners(f"csv:{path}")
    assert {key: owners.owner_of(key) for key in users} == users


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "line 1: the first line must name the columns key,user; it is nothing"),
        ("key;user\na;b\n", "must name the columns key,user; it is key;user"),
        ("key,user,key\n", "must name the columns"),
        ("key,user\n", "no line but the first"),
        ("key,user\na,b\nc\n", "line 3: there are 1 values for 2 columns"),
        ("key,user\na,b,c\n", "line 2: there are 3 values for 2 columns"),
        ("key,user\na,\n", "line 2: user is empty"),
        ("key,user\n,b\n", "line 2: key is empty"),
        ("key,user\na,b\nc,b\na,d\n", "line 4: the key 'a' stands in line 2 already"),
        ('key,user\na,"b\n', "it is no CSV"),
        ("key,user\na," + "b" * 1025 + "\n", "at most 1024"),
        (b"key,user\na,b\n\xff,c\n", "not UTF-8"),
    ],
)
def test_what_is_wrong_with_a_table_is_said_with_the_line(tmp_path, text, says):
    assert says in reason(table(tmp_path, text))


def test_a_table_that_is_not_there_is_named(tmp_path):
    assert f"{tmp_path / 'lost.csv'}, which cannot be read: No such file" in reason(f"csv:{tmp_path / 'lost.csv'}")
    assert "cannot be read" in reason(f"csv:{tmp_path}")


def test_a_million_lines_are_read_in_seconds(tmp_path):
    lines = "".join(f"message_store:conversation-{number},user-{number % 1000}\n" for number in range(1_000_000))
    setting = table(tmp_path, "key,user\n" + lines)
    begun = time.process_time()
    owners = load_owners(setting)
    assert time.process_time() - begun < 20
    assert owners.owner_of("message_store:conversation-999999") == "user-999"


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("tests.ownership.lost:owner_of", "module 'tests.ownership.lost' cannot be imported (ModuleNotFoundError"),
        ("tests.ownership.sample:lost", "module 'tests.ownership.sample' has no 'lost'"),
        ("tests.ownership.sample", "write call:package.module:function"),
        ("tests.ownership.sample:TEXT", "cannot be called"),
        ("tests.ownership.sample:later", "coroutine function"),
    ],
)
def test_a_function_that_cannot_be_had_is_named(path, says):
    assert says in reason(f"call:{path}")


def test_a_function_may_be_a_method_or_a_whole_mapping():
    assert load_owners("call:tests.ownership.sample:OWNERS").owner_of("a") == "public"
    assert load_owners("call:tests.ownership.sample:TABLE.get").owner_of("chat:1") == "ann"


@pytest.mark.parametrize(
    ("answer", "says"),
    [(42, "returned a int"), (b"ann", "returned a bytes"), ("", "cannot be an id"), ("\ud800", "cannot be an id")],
)
def test_what_a_function_returns_that_is_no_id_makes_the_record_nobodys(caplog, answer, says):
    assert as_owners(lambda _: answer).owner_of("chat:1") is None
    assert says in caplog.text
    assert "chat:1" in caplog.text


def test_a_function_that_raises_leaves_the_record_to_nobody_and_tells_once_why(caplog):
    owners = as_owners({"chat:1": "ann"}.__getitem__)
    with caplog.at_level(logging.WARNING):
        assert [owners.owner_of(key) for key in ("chat:1", "chat:2", "chat:3")] == ["ann", None, None]
    assert len(caplog.records) == 1
    assert "KeyError" in caplog.text


def test_a_function_that_turns_out_to_be_a_coroutine_leaves_nothing_unawaited():
    async def later(_key):
        return "ann"

    class Asks:
        def __call__(self, key):
            return later(key)

    assert as_owners(Asks()).owner_of("chat:1") is None


def test_python_code_may_give_a_dictionary_or_an_object_of_its_own():
    class Mine(chatstore.Owners):
        def owner_of(self, key):
            return key.upper()

    mine = Mine()
    assert as_owners(mine) is mine
    assert as_owners({"a": "ann"}).owner_of("a") == "ann"
    with pytest.raises(ConfigurationError, match=r"'a'.*a int, no text"):
        as_owners({"a": 1})
    with pytest.raises(ConfigurationError, match="cannot be called"):
        as_owners("ann")
