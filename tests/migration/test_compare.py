"""What counts as a difference between two states of a record, and how it is shown."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from chatstore.migration.compare import compare_documents, compare_messages, compare_sessions, same
from chatstore.models import Embedding
from tests.migration.doubles import legacy_document, legacy_session

LATER = datetime(2030, 1, 1, tzinfo=UTC)
SESSION = legacy_session("s").session
MESSAGE = legacy_session("s", "a secret").messages[0]
DOCUMENT = legacy_document("d", "a secret").document
assert SESSION is not None
assert DOCUMENT is not None


@pytest.mark.parametrize(
    "changes",
    [
        {"user_id": "v"}, {"title": "other"}, {"metadata": {"a": 1}}, {"created_at": LATER}, {"updated_at": LATER},
        {"expires_at": LATER}, {"extra": {"a": 1}},
    ],
)  # fmt: skip
def test_a_session_that_differs_in_a_field_is_different_by_that_field(changes: dict) -> None:
    (difference,) = compare_sessions("k", SESSION, replace(SESSION, **changes))
    assert {difference.field} == set(changes)
    assert difference.key == "k"


@pytest.mark.parametrize(
    "changes",
    [
        {"user_id": "v"}, {"position": 9}, {"role": "tool"}, {"content": ""}, {"metadata": {"a": 1}},
        {"created_at": LATER}, {"expires_at": LATER}, {"extra": {"tool_calls": []}},
    ],
)  # fmt: skip
def test_a_message_that_differs_in_a_field_is_different_by_that_field(changes: dict) -> None:
    (difference,) = compare_messages("k", replace(MESSAGE, **changes), MESSAGE)
    assert {difference.field} == set(changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"text": "other"}, {"embedding": Embedding.of([1.0, 2.0])}, {"embedding": None}, {"title": "t"}, {"url": "u"},
        {"metadata": {"a": 1}}, {"created_at": LATER}, {"updated_at": LATER}, {"expires_at": LATER}, {"extra": {"a": 1}},
    ],
)  # fmt: skip
def test_a_document_that_differs_in_a_field_is_different_by_that_field(changes: dict) -> None:
    (difference,) = compare_documents("k", DOCUMENT, replace(DOCUMENT, **changes))
    assert {difference.field} == set(changes)


def test_a_version_is_no_difference() -> None:
    assert compare_sessions("k", SESSION, replace(SESSION, version=7)) == []
    assert compare_messages("k", MESSAGE, replace(MESSAGE, version=7)) == []
    assert compare_documents("k", DOCUMENT, replace(DOCUMENT, version=7)) == []


def test_an_expiry_is_compared_as_exactly_as_redis_keeps_it() -> None:
    fine, coarse = (replace(MESSAGE, expires_at=LATER.replace(microsecond=micros)) for micros in (123_987, 123_000))
    assert compare_messages("k", fine, coarse) == compare_messages("k", coarse, fine) == []
    (difference,) = compare_messages("k", fine, replace(MESSAGE, expires_at=LATER.replace(microsecond=122_000)))
    assert difference.field == "expires_at"


def test_a_record_that_one_side_lacks_is_one_difference() -> None:
    (difference,) = compare_messages("k", MESSAGE, None)
    assert (difference.field, difference.old, difference.new) == ("message", "there", "missing")
    (difference,) = compare_documents("k", None, DOCUMENT)
    assert (difference.field, difference.old, difference.new) == ("document", "missing", "there")
    assert compare_sessions("k", None, None) == []


def test_one_bit_of_an_embedding_is_a_difference() -> None:
    data = bytearray(DOCUMENT.embedding.data)
    data[0] ^= 1
    (difference,) = compare_documents("k", DOCUMENT, replace(DOCUMENT, embedding=Embedding(bytes(data))))
    assert difference.old.startswith("3 numbers, sha256 ")
    assert difference.old != difference.new


def test_content_is_never_shown() -> None:
    private = replace(MESSAGE, metadata={"secret": ["secret"]}, extra={"secret": 1})
    shown = [
        f"{d.old} {d.new}" for d in compare_messages("k", private, replace(private, content="x", metadata={}, extra={}))
    ]
    assert len(shown) == 3
    assert not any("secret" in text for text in shown)
    assert "8 characters, sha256 " in shown[0]


def test_names_are_shown_so_that_they_cannot_harm_a_terminal() -> None:
    (difference,) = compare_messages("k", MESSAGE, replace(MESSAGE, role="\x1b[2J" + "é" * 1000))
    assert difference.new.isascii()
    assert "\x1b" not in difference.new
    assert len(difference.new) < 400


@pytest.mark.parametrize(("left", "right"), [
    ({"a": 1}, {"a": 1.0}), ({"a": [1, {"b": None}]}, {"a": (1, {"b": None})}), (True, True), (-0.0, 0),
])  # fmt: skip
def test_what_json_does_not_tell_apart_is_the_same(left: object, right: object) -> None:
    assert same(left, right)


@pytest.mark.parametrize(("left", "right"), [
    ({"a": 1}, {"a": True}), (0, False), ({"a": "1"}, {"a": 1}), ([1], {"0": 1}), ({"a": None}, {}), ([1, 2], [1]),
    ("é", "e\u0301"),
])  # fmt: skip
def test_what_json_tells_apart_is_different(left: object, right: object) -> None:
    assert not same(left, right)
