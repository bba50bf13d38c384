"""Whatever the text or the number: what comes back is what went in."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatstore.errors import InvalidRecordError
from chatstore.models import NewMessage, new_id
from chatstore.supabase import text

# Every code point, with those that need the escape, and what looks like one, made frequent.
any_text = st.text(
    st.one_of(st.characters(codec=None, categories=None), st.sampled_from("\x00\ufdd0\ud800\udfff\\u0d8f"))
)
any_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False, allow_infinity=False)
    | any_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4),
    max_leaves=12,
)


@given(any_text)
def test_encoded_text_is_what_postgres_can_hold_and_decodes_to_the_same(value):
    encoded = text.encode(value)
    assert "\x00" not in encoded
    encoded.encode()
    assert text.decode(encoded) == value


@given(any_text, any_text)
def test_two_texts_never_become_one(one, other):
    assert (text.encode(one) == text.encode(other)) == (one == other)


@given(any_json)
def test_json_is_dumped_without_what_postgres_cannot_hold_and_loads_to_the_same(value):
    dumped = text.dump(value)
    assert "\\u0000" not in dumped.replace("\\\\", "")
    dumped.encode()
    assert text.load(dumped) == value


def test_plain_text_is_passed_through_as_the_same_object():
    value = "plain 🦊"
    assert text.encode(value) is value
    assert text.decode(value) is value


def test_an_escape_that_was_never_written_is_left_alone():
    assert text.decode("\ufdd0abcd \ufdd0") == "\ufdd0abcd \ufdd0"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": object()}])
def test_what_json_cannot_hold_is_refused(value):
    with pytest.raises(InvalidRecordError):
        text.dump(value)


async def test_numbers_and_text_survive_the_way_through_the_server(chat):
    user = new_id()
    values = {
        "whole": [0, -1, 2**53 + 1, -(2**63), 2**64 + 1, 10**40],
        "broken": [0.1, 1.0, 1e-7, 5e-324, 1.7976931348623157e308, 1e16, 1e23, -2.5e30, 0.1 + 0.2],
        "text": ["a\x00b", "\ufdd0", "\ufdd00000", "\\u0000", '"', "\u2028", "🦊"],
        "\x00key": {"": None},
    }
    session = await chat.create_session(user, title="\x00", metadata=values)
    assert session.metadata == values
    assert type(session.metadata["broken"][1]) is float
    assert (await chat.get_session(user, session.id)).title == "\x00"
    await chat.append(user, session.id, NewMessage("user", "a\x00b", id="\x00", metadata=values, extra=values))
    [message] = await chat.messages(user, session.id)
    assert (message.id, message.content, message.metadata, message.extra) == ("\x00", "a\x00b", values, values)
    assert json.dumps(message.metadata["whole"]) == json.dumps(values["whole"])
