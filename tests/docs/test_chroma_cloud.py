"""The page on Chroma Cloud is run as it says, with a Chroma server in its place."""

import runpy
from pathlib import Path

import pytest

from tests.conformance.factories.chroma import new_database
from tests.docs.quick import run_page_quickly

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "chroma-cloud.md"


@pytest.mark.timeout(300)  # several programs, one after the other, on a machine that others use, too
def test_documents_go_to_chroma_and_to_another_one_as_the_page_says(environment, folder, monkeypatch, capsys):
    without_chats = {name: value for name, value in environment.items() if not name.startswith("SUPABASE_")}
    other = {"OTHER_DATABASE": new_database(environment["CHROMA_URL"])}
    run_page_quickly(PAGE, {**without_chats, **other}, folder, monkeypatch)

    # Another page says that the same script brings documents into another plan of collections.
    script = (folder / "copy_documents.py").read_text().replace("ChromaDocuments\n", "ChromaDocuments, Sharded\n")
    (folder / "sharded.py").write_text(
        script.replace("ChromaDocuments(other)", "ChromaDocuments(other, plan=Sharded())")
    )
    monkeypatch.setenv("OTHER_DATABASE", new_database(environment["CHROMA_URL"]))
    runpy.run_path("sharded.py", run_name="__main__")
    assert capsys.readouterr().out == "2 copied, 0 deleted; 2 here, 2 there\n"
