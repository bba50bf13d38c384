"""What docs/forget.md says of Chroma's file: its log keeps what was deleted, until the collection is deleted."""

import sqlite3
from contextlib import closing

from chatstore.chroma import ChromaClient, ChromaDocuments, PerUser
from chatstore.models import Side
from chatstore.routing import forget_documents
from tests.forget.places import SECRET, document


def tables_with_it(folder):
    with closing(sqlite3.connect(f"file:{folder / 'chroma.sqlite3'}?mode=ro", uri=True)) as file:
        return {table for table in ("embeddings_queue", "embedding_metadata", "embedding_fulltext_search_content")
                if any(SECRET in repr(row) for row in file.execute(f"select * from {table}"))}  # fmt: skip


async def test_the_log_keeps_what_was_deleted_until_the_collection_is(tmp_path):
    async with ChromaClient.embedded(tmp_path) as client:
        store = ChromaDocuments(client)
        await store.upsert("user-17", [document(str(number)) for number in range(5)])
        assert len(tables_with_it(tmp_path)) == 3
        assert (await forget_documents("user-17", {Side.NEW: store})).complete
        assert tables_with_it(tmp_path) == {"embeddings_queue"}
        client._client.delete_collection(PerUser().collection_of("user-17"))
        assert tables_with_it(tmp_path) == set()
