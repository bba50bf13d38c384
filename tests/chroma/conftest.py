"""An embedded Chroma for each test, and databases of the stack's server."""

import chromadb
import pytest
from chromadb.config import Settings

from chatstore.chroma import ChromaClient, ChromaDocuments
from tests.conformance.factories.chroma import new_database


@pytest.fixture
async def client(tmp_path):
    async with ChromaClient.embedded(tmp_path / "chroma") as client:
        yield client


@pytest.fixture
def documents(client):
    return ChromaDocuments(client)


@pytest.fixture
def plain(tmp_path, client):
    """What any other program sees: chromadb's own client on the same folder."""
    with chromadb.PersistentClient(str(tmp_path / "chroma"), settings=Settings(anonymized_telemetry=False)) as plain:
        yield plain


@pytest.fixture
async def server(chroma_url):
    async with ChromaClient.server(chroma_url, database=new_database(chroma_url)) as client:
        yield client
