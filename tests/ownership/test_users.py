"""What the old users' ids have become is one for one, whatever the table says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import chatstore
from chatstore.errors import ConfigurationError
from chatstore.ownership import MappedUsers, SameUsers, as_users, load_users
from tests.ownership.test_owners import reason, table

ids = st.sampled_from(["1", "2", "3", "4", "caf\u00e9", "cafe\u0301", "*", "a\r\nb"])


@st.composite
def mappings(draw):
    old = draw(st.lists(ids, unique=True))
    new = draw(st.lists(ids, unique=True, min_size=len(old)))
    return MappedUsers(dict(zip(old, new, strict=False)), others_kept=draw(st.booleans()))


@given(mappings(), ids)
def test_there_and_back_is_the_same_user_and_no_two_become_one(users, one):
    new, old = users.new_of(one), users.old_of(one)
    assert new is None or users.old_of(new) == one
    assert old is None or users.new_of(old) == one


def test_whoever_is_in_no_line_is_unmapped(tmp_path):
    users = load_users(table(tmp_path, "old,new\n1,user_a\n2,user_b\n"))
    assert [users.new_of(old) for old in ("1", "2", "3")] == ["user_a", "user_b", None]
    assert [users.old_of(new) for new in ("user_a", "user_b", "1", "user_c")] == ["1", "2", None, None]


def test_the_others_may_have_kept_their_ids_but_not_one_that_is_somebody_elses_now(tmp_path):
    users = load_users(table(tmp_path, "old,new\n1,2\n*,*\n"))
    assert (users.new_of("1"), users.new_of("2"), users.new_of("3")) == ("2", None, "3")
    assert (users.old_of("2"), users.old_of("1"), users.old_of("3")) == ("1", None, "3")


def test_two_users_may_have_swapped_their_ids(tmp_path):
    users = load_users(table(tmp_path, "new,old\n2,1\n1,2\n*,*\n"))
    assert [users.new_of(user) for user in "123"] == ["2", "1", "3"]
    assert [users.old_of(user) for user in "123"] == ["2", "1", "3"]


def test_ids_are_compared_as_they_are():
    users = MappedUsers({"caf\u00e9": "a", "cafe\u0301": "b", "1": "c", "01": "d", "A": "e", "a": "f"})
    assert [users.new_of(old) for old in ("caf\u00e9", "cafe\u0301", "1", "01", "A", "a", " 1")] == [*"abcdef", None]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("key,user\n", "must name the columns old,new"),
        ("old,new\n", "no line but the first"),
        ("old,new\n1,a\n2,b\n1,c\n", "line 4: the old '1' stands in line 2 already"),
        ("old,new\n1,a\n2,a\n", "line 3: the new 'a' stands in line 2 already"),
        ("old,new\n1,*\n", "line 2: write *,*"),
        ("old,new\n1,\n", "line 2: new is empty"),
        ("old,new\n1," + "b" * 1025 + "\n", "at most 1024"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(tmp_path, text, says):
    assert says in reason(table(tmp_path, text, "users.csv"), load_users)


@pytest.mark.parametrize("setting", ["", "users.csv", "csv:", "key:{user}", "call:app:users"])
def test_what_is_no_form_is_told_the_form(setting):
    assert "csv:/path/users.csv" in reason(setting, load_users)


def test_python_code_may_give_a_dictionary_or_an_object():
    same = SameUsers()
    assert as_users(same) is same
    assert as_users({"1": "user_a"}).old_of("user_a") == "1"
    with pytest.raises(ConfigurationError, match="'1' and '2' have both become 'a'"):
        as_users({"1": "a", "2": "a"})
    with pytest.raises(ConfigurationError, match=r"1 has become 'a'.* a int, no text"):
        as_users({1: "a"})
    assert isinstance(same, chatstore.Users)
