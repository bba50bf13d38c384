"""SECURITY.md says who could do what, and what shows that they can't: what it names is there."""

from __future__ import annotations

import re

from tests.supply_chain.locks import REPOSITORY

_PAGE = (REPOSITORY / "SECURITY.md").read_text()
_LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


def test_everything_that_it_names_is_there() -> None:
    named = _LINK.findall(_PAGE)
    assert named
    assert [path for path in named if not (REPOSITORY / path).exists()] == []


def test_each_row_of_the_threat_model_names_what_shows_it() -> None:
    table = _PAGE.partition("## Who could do what")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][2:]
    assert len(rows) > 15
    assert [row for row in rows if not re.search(r"\]\((tests|src)/", row.rstrip(" |").rpartition("|")[2])] == []
    assert {row.strip("| ").count("|") for row in rows if not row.startswith("| |")} == {3}
