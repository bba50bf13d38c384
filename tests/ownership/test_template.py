"""A template over the key tells whose a record is, and never tells a wrong user."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatstore.errors import ConfigurationError
from chatstore.ownership import TemplateOwners


@pytest.mark.parametrize(
    ("template", "key", "user"),
    [
        ("message_store:{user}:*", "message_store:ann:42", "ann"),
        ("message_store:{user}:*", "message_store:ann:", "ann"),
        ("message_store:{user}:*", "message_store:ann:of:many", "ann"),
        ("message_store:{user}:*", "message_store:ann", None),
        ("message_store:{user}:*", "message_store::42", None),
        ("message_store:{user}:*", "chat:ann:42", None),
        ("{user}", "whatever: it\r\nis", "whatever: it\r\nis"),
        ("{user}", "", None),
        ("chat:{user}", "chat:org:ann", "org:ann"),
        ("chat:{user}:log", "chat:org:ann:log", "org:ann"),
        ("chat:{user}:log", "chat:log", None),
        ("*:{user}", "app:chat:ann", "ann"),
        ("*:{user}:log", "app:chat:ann:log", "ann"),
        ("app:*:users:{user}:*", "app:x:y:users:ann:s1", "ann"),
        ("app:*:users:{user}:*", "app:users:ann:s1", None),
        ("*:{user}:*", "a:b:c", "b"),
        ("*:{user}:*", "a:b:b:c", "b"),
        ("*:{user}:*", "a:b:c:d", None),
        ("*::{user}", "a:::b", None),
        ("m:{user}::*", "m:a:::b", None),
        ("chat:{{user}}:*", "chat:{ann}:s1", "ann"),
        ("k:{user}:*:end", "k:ann:1:2:end", "ann"),
        ("k:{user}:*:end", "k:ann:end", None),
        ("k[?]:{user}", "k[?]:ann", "ann"),
        ("k[?]:{user}", "k?:ann", None),
        ("session:{user}", "session:cafe\u0301", "cafe\u0301"),
        ("session:{user}", "session:caf\u00e9", "caf\u00e9"),
        ("session:{user}", "session:" + "ü" * 513, None),
    ],
)
def test_a_key_is_read(template, key, user):
    assert TemplateOwners(template).owner_of(key) == user


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("message_store:*", "has no {user}"),
        ("{user}:{user}", "more than once"),
        ("{user}*", "some text between"),
        ("a:*{user}:*", "some text between"),
    ],
)
def test_a_template_that_says_nothing_or_too_little_is_refused(template, reason):
    with pytest.raises(ConfigurationError, match=reason):
        TemplateOwners(template)


def _readings(template, key):
    """Every user whom the rule of the docstring allows, by trying all that there is."""
    before, after = template.split("{user}")
    heads, tails = before.split("*"), after.split("*")

    def fits(part, text):
        return re.fullmatch(".*".join(map(re.escape, part)), text, re.DOTALL) is not None

    found = set()
    for start in range(len(key)):
        for end in range(start + 1, len(key) + 1):
            user = key[start:end]
            alone = (len(heads) == 1 or heads[-1] not in user) and (len(tails) == 1 or tails[0] not in user)
            if alone and fits(heads, key[:start]) and fits(tails, key[end:]):
                found.add(user)
    return found


pieces = st.text("ab:*", max_size=5)
templates = st.tuples(
    pieces.filter(lambda text: not text.endswith("*")), pieces.filter(lambda t: not t.startswith("*"))
)


@given(templates.map("{user}".join), st.text("ab:", max_size=12))
def test_it_says_what_trying_every_reading_says(template, key):
    readings = _readings(template, key)
    assert TemplateOwners(template).owner_of(key) == (readings.pop() if len(readings) == 1 else None)


@given(templates, st.text("ab:\n\u0301", min_size=1), st.lists(st.text("ab:", max_size=6), min_size=9, max_size=9))
def test_a_key_that_was_made_for_a_user_is_never_another_users(template, user, fillings):
    before, after = template
    rest = iter(fillings)
    for part, text in ((before.split("*"), -1), (after.split("*"), 0)):
        if len(part) > 1 and part[text] in user:
            user = "x"  # an id that the template excludes
    key = "".join(next(rest) if char == "*" else char for char in before) + user
    key += "".join(next(rest) if char == "*" else char for char in after)
    assert TemplateOwners(f"{before}{{user}}{after}").owner_of(key) in (user, None)
    if "*" not in before and len(after.split("*")[0]) <= 1:
        assert TemplateOwners(f"{before}{{user}}{after}").owner_of(key) == user


@pytest.mark.parametrize("key", [":" * 500_000, "a:" * 250_000, "a" * 500_000])
def test_a_long_key_takes_no_long_time(key):
    begun = time.process_time()
    for template in ("*:{user}:*", "*:*:*:{user}", "{user}:*:*:x", "*::{user}:a:*", "a:*a{user}a*:a*b*"):
        TemplateOwners(template).owner_of(key)
    assert time.process_time() - begun < 5
