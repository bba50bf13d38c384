"""The page on a new embedding model is run as it says: a second database is filled while the app writes, and then served."""

from pathlib import Path

import httpx
import pytest

from tests.docs.page import run_page

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "reindexing.md"


@pytest.mark.timeout(300)  # several programs, one after the other, on a machine that others use, too
def test_documents_move_to_a_new_model_as_the_page_says(environment, folder):
    assert len(run_page(PAGE, environment, folder)) == 5
    collections = f"/api/v2/tenants/default_tenant/databases/{environment['CHROMA_DATABASE']}-v2/collections"
    found = httpx.get(f"{environment['CHROMA_URL']}{collections}/user_docs_user-1", trust_env=False)
    index = found.json()["configuration_json"]["hnsw"]
    assert (index["max_neighbors"], index["ef_construction"], index["space"]) == (32, 200, "l2")
