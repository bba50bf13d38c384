"""Chroma, in a folder and on a server, with a collection for each user and with one for all."""

import secrets
import tempfile
from contextlib import asynccontextmanager

import httpx

from chatstore.chroma import ChromaClient, ChromaDocuments, Single


def new_database(url):
    """Make a database that no other test uses, and return its name."""
    name = f"t{secrets.token_hex(8)}"
    path = "/api/v2/tenants/default_tenant/databases"
    httpx.post(url + path, json={"name": name}, trust_env=False).raise_for_status()
    return name


@asynccontextmanager
async def _embedded(request):
    with tempfile.TemporaryDirectory() as folder:
        async with ChromaClient.embedded(folder) as client:
            yield ChromaDocuments(client)


def _server(plan):
    @asynccontextmanager
    async def factory(request):
        url = request.getfixturevalue("chroma_url")
        async with ChromaClient.server(url, database=new_database(url)) as client:
            yield ChromaDocuments(client, plan=plan)

    return factory


DOCUMENTS = {
    "chroma-embedded": _embedded,
    "chroma-server": _server(None),
    "chroma-server-single": _server(Single()),
}
