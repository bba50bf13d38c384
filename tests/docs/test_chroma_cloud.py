"""The page on Chroma Cloud is run as it says, with a Chroma server in its place."""

from pathlib import Path

import pytest

from tests.conformance.factories.chroma import new_database
from tests.docs.quick import run_page_quickly

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "chroma-cloud.md"


@pytest.mark.timeout(300)  # several programs, one after the other, on a machine that others use, too
def test_documents_go_to_chroma_and_to_another_one_as_the_page_says(environment, folder, monkeypatch):
    without_chats = {name: value for name, value in environment.items() if not name.startswith("SUPABASE_")}
    other = {"OTHER_DATABASE": new_database(environment["CHROMA_URL"])}
    run_page_quickly(PAGE, {**without_chats, **other}, folder, monkeypatch)
