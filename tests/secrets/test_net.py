"""The net below the whole suite catches what it says."""

import logging

import pytest

from tests.leaks import NET

logger = logging.getLogger("tests.secrets")


@pytest.mark.parametrize("name", ["publishable", "secret", "jwt_secret", "postgres_password", "api_password"])
def test_a_key_of_a_stack_is_caught_at_any_level(stack, name, caplog):
    key = getattr(stack._state.read().keys, name)
    logger.debug("sent %s", {"apikey": key})
    told = NET.take()
    assert told.startswith("tests.secrets logged a secret: sent")
    assert key not in told
    assert caplog.records == []  # nobody asked for this level


@pytest.mark.parametrize(
    ("text", "caught"),
    [
        ("key sb_secret_" + "0a" * 16, True),
        ("at redis://user:hunter2@127.0.0.1:6379/0", True),
        ("at https://:hunter2@host", True),
        ("at redis://127.0.0.1:6379/0", False),
        ("write postgresql://user:password@host/db", False),
        ("write redis://[[user]:[password]@]host[:port]", False),
        ("mailto:someone@example.org at http://127.0.0.1:8000/x@y", False),
    ],
)
def test_what_is_shaped_like_a_secret_is_caught(text, caught):
    logger.info(text)
    assert bool(NET.take()) is caught


def test_who_asks_for_records_gets_them(caplog):
    with caplog.at_level(logging.DEBUG):
        logger.debug("one")
    with caplog.at_level(logging.INFO, logger="tests"):
        logger.debug("two")
        logger.info("three")
    logger.info("four")
    logger.warning("five")
    assert [record.getMessage() for record in caplog.records] == ["one", "three", "five"]
