"""The page on alternatives: its script runs, its figures are those of the benchmarks, and what it says of others has a link."""

import json
import re
from pathlib import Path

import psycopg
import pytest
import redis

from tests.docs.page import run_page

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "alternatives.md"


@pytest.fixture
def own_table(database_url):
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection
        connection.execute("drop table if exists public.copied_chats")


def test_the_script_copies_all_messages_in_their_order(environment, folder, own_table):
    said = {"user-1:a": ["Hello", "Hi"], "user-2:b": ["Where is it?"]}
    with redis.Redis.from_url(environment["REDIS_URL"]) as client:
        client.set("message_store:none", "of another type")
        for session, texts in said.items():
            for text in texts:
                client.lpush(f"message_store:{session}", json.dumps({"type": "human", "data": {"content": text}}))
    (ran,) = run_page(PAGE, environment, folder)
    assert ran.output == "3 messages\n"
    rows = own_table.execute("select session, message #>> '{data,content}' from public.copied_chats order by 1, place")
    assert rows.fetchall() == [(session, text) for session, texts in said.items() for text in texts]


def test_its_figures_are_those_of_the_benchmarks():
    told = [paragraph for paragraph in PAGE.read_text().split("\n\n") if "`python -m benchmarks." in paragraph]
    figures = re.findall(r"(?<![\w+])\d[\d,.]*\d\b", " ".join(told))
    measured = (DOCS / "benchmarks.md").read_text()
    assert {"86,987", "100,689", "43,961", "241", "208.7", "14.4"} <= set(figures)
    assert [figure for figure in figures if figure not in measured] == []


def test_what_is_said_of_another_tool_has_a_link():
    sections = PAGE.read_text().split("\n## ")[3:]
    assert len(sections) == 8
    by_hand = {"Dual writes by hand"}
    assert {section.splitlines()[0] for section in sections if "](https://" not in section} == by_hand
    for section in sections:
        assert all(f"**{word}" in section for word in ("Better", "Left to you", "Take it")), section.splitlines()[0]
