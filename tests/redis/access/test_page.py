"""The page for users has the lines that the program prints."""

import re
from pathlib import Path

import pytest

from chatstore.redis import CHAT_LAYOUTS, chat_layout, document_layout
from chatstore.redis.access import Purpose, acl_line, acl_rules

PAGE = (Path(__file__).parents[3] / "docs" / "redis-access.md").read_text()
LINES = re.findall(r"<!-- acl: (\w+) ?(\w*) -->\n```\n(.*?)\n?```", PAGE, re.DOTALL)


@pytest.mark.parametrize(("purpose", "layout", "line"), LINES)
def test_a_line_of_the_page_is_what_the_program_prints(purpose, layout, line):
    layouts = (chat_layout(layout), document_layout(layout)) if layout else (None, None)
    assert line == acl_line(acl_rules(Purpose(purpose), *layouts))


def test_it_has_a_line_for_every_purpose():
    assert {purpose for purpose, _, _ in LINES} == set(Purpose)


def test_it_names_the_layouts_that_a_cluster_cannot_have():
    refused = sorted(name for name, layout in CHAT_LAYOUTS.items() if layout.spread or layout.keyed)
    [named] = re.findall(r"refused for chats: (.*?)\. No script", PAGE, re.DOTALL)
    assert re.findall(r"`(.*?)`", named) == refused
