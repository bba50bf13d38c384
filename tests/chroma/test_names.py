"""User ids as names of collections."""

import re

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from chatstore.chroma import PerUser, Sharded, Single
from chatstore.chroma.names import collection_name, joined_id, split_id, user_of
from chatstore.errors import ConfigurationError, InvalidRecordError
from chatstore.models import DocumentKey

PREFIX = "user_docs_"
LEGAL = re.compile(r"(?!.*\.\.)[a-zA-Z0-9][a-zA-Z0-9._-]{1,510}[a-zA-Z0-9]")

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=1024)
tricky = st.text("a.-_B7|@é", min_size=1, max_size=12)
user_ids = texts | tricky


@given(user_ids)
@example("x" * 1024)
@example("é" * 512)
@example(".")
@example("_")
@example("a..b")
@example("--" + "0" * 64)
def test_a_name_is_always_legal_and_leads_back(user_id):
    name = collection_name(PREFIX, user_id)
    assert LEGAL.fullmatch(name)
    back = user_of(PREFIX, name)
    assert back == user_id or (back is None and len(name) == len(PREFIX) + 2 + 64)


@given(user_ids, user_ids)
def test_two_users_never_share_a_name(one, other):
    assume(one != other)
    assert collection_name(PREFIX, one) != collection_name(PREFIX, other)


@given(tricky)
def test_the_name_of_another_user_is_never_spelled_by_an_id(user_id):
    spelled = collection_name(PREFIX, user_id).removeprefix(PREFIX)
    if spelled != user_id:
        assert collection_name(PREFIX, spelled) != PREFIX + spelled


@pytest.mark.parametrize(
    ("user_id", "name"),
    [
        ("u1", "user_docs_u1"),
        ("user_2abC.x-9", "user_docs_user_2abC.x-9"),
        ("auth0|7", "user_docs_-auth0.7c7"),
        ("a@b.org", "user_docs_-a.40b.2eorg"),
        ("end_", "user_docs_-end.5f"),
    ],
)
def test_plain_ids_stay_as_they_are_and_others_can_still_be_read(user_id, name):
    assert PerUser().collection_of(user_id) == name
    assert PerUser().owner_of(name) == user_id


@given(texts, texts, texts, texts)
@example("a/b", "c", "a", "b/c")
def test_two_documents_never_share_an_id_in_a_shared_collection(user, document, other_user, other):
    joined = joined_id(user, document)
    assert split_id(joined) == (user, document)
    assume((user, document) != (other_user, other))
    assert joined != joined_id(other_user, other)


def test_shards_are_legal_and_hold_their_users():
    plan = Sharded(3)
    names = {plan.collection_of(f"user {i}") for i in range(50)}
    assert names == {"docs_0_of_3", "docs_1_of_3", "docs_2_of_3"}
    assert all(map(plan.holds, names))
    assert not plan.holds("docs_0_of_4")


def test_a_shared_collection_tells_equal_document_ids_apart():
    plan = Single()
    assert plan.record_id(DocumentKey("a", "1")) != plan.record_id(DocumentKey("b", "1"))


def test_what_cannot_be_a_name_is_refused():
    with pytest.raises(ConfigurationError):
        PerUser("bad prefix ")
    with pytest.raises(ConfigurationError):
        Sharded(0)
    with pytest.raises(InvalidRecordError):
        PerUser().collection_of("\ud800")
