"""Chroma, in a folder and on a server, with a collection for each user and with one for all."""

import secrets
import tempfile
from contextlib import asynccontextmanager

from chromadb import AdminClient
from chromadb.config import Settings

from chatstore.chroma import ChromaClient, ChromaDocuments, Sharded, Single


def new_database(url):
    """Make a database that no other test uses, and return its name."""
    name = f"t{secrets.token_hex(8)}"
    settings = Settings(
        chroma_api_impl="chromadb.api.fastapi.FastAPI", chroma_server_host=url, anonymized_telemetry=False
    )
    AdminClient(settings).create_database(name)
    return name


@asynccontextmanager
async def _embedded(request):
    with tempfile.TemporaryDirectory() as folder:
        documents = ChromaDocuments(ChromaClient.embedded(folder))
        yield documents
        await documents.close()


def _server(plan):
    @asynccontextmanager
    async def factory(request):
        url = request.getfixturevalue("chroma_url")
        documents = ChromaDocuments(ChromaClient.server(url, database=new_database(url)), plan=plan)
        yield documents
        await documents.close()

    return factory


DOCUMENTS = {
    "chroma-embedded": _embedded,
    "chroma-server": _server(None),
    "chroma-server-sharded": _server(Sharded(3)),
    "chroma-server-single": _server(Single()),
}
