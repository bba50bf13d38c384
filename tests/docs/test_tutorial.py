"""The tutorial is followed from its first line to its last, with servers of its own."""

from pathlib import Path

import pytest

from chatstore.local import LocalStack
from tests.docs.page import run_page

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"


@pytest.fixture
def empty_folder(new_data_folder):
    """A reader's folder, in which Postgres can run."""
    folder = new_data_folder() / "reader"
    folder.mkdir()
    yield folder
    LocalStack(folder / ".chatstore").stop()


@pytest.mark.timeout(900)
def test_a_reader_can_follow_the_tutorial_and_sees_what_it_shows(empty_folder):
    ran = run_page(PAGE, {}, empty_folder, seconds=240)
    assert ran[-1].output == "stopped\n"
    assert len((empty_folder / "kept.txt").read_text().splitlines()) > 10
