"""The page on flag services is run as it says: by the file, and by a provider of one's own over an SDK with offline flags."""

from pathlib import Path

import pytest

from tests.docs.page import run_page

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "flag-services.md"


@pytest.mark.timeout(300)  # several programs, one after the other, on a machine that others use, too
def test_users_are_moved_as_the_page_says(environment, folder):
    without_documents = {name: value for name, value in environment.items() if not name.startswith("CHROMA_")}
    assert len(run_page(PAGE, without_documents, folder)) == 3
