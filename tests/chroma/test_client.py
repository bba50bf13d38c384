"""Reaching Chroma, in every way, and failing well."""

import asyncio
import gc
import socket
import time

import chromadb
import httpx
import pytest
from chromadb import errors
from chromadb.config import Settings

from chatstore.chroma import ChromaClient, ChromaDocuments
from chatstore.chroma.failures import translated
from chatstore.errors import ConfigurationError, InvalidRecordError, NotFoundError, UnavailableError
from chatstore.models import Embedding, NewDocument

EAST = Embedding.of([1, 0])


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://host", "http://", "http://host:port"])
def test_what_is_no_url_is_refused_at_once(url):
    with pytest.raises(ConfigurationError, match="CHROMA_URL"):
        ChromaClient.server(url)


async def test_a_server_that_is_not_there_is_named_without_its_password():
    async with ChromaClient.server("http://me:secret@127.0.0.1:9") as client:
        with pytest.raises(UnavailableError, match=r"http://127\.0\.0\.1:9 .*check") as caught:
            await ChromaDocuments(client).get("u", "d")
        assert "secret" not in str(caught.value)


async def test_a_server_that_never_answers_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        async with ChromaClient.server(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.3) as client:
            with pytest.raises(UnavailableError):
                await ChromaDocuments(client).count()
        assert time.monotonic() - started < 5


async def test_an_attempt_to_connect_that_was_given_up_ends_without_a_word():
    def fail():
        time.sleep(0.4)
        raise ConnectionError("nobody waits for this any more")

    said = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context))
    async with ChromaClient(fail, address="there", owned=True, timeout=5) as client:
        calls = [asyncio.create_task(client.call("heartbeat")) for _ in range(2)]
        await asyncio.sleep(0.05)
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)
    await asyncio.sleep(0.1)
    del call, calls, client
    gc.collect()
    assert said == []


async def test_a_server_that_falls_silent_later_is_given_up_too(server):
    await ChromaDocuments(server).upsert("u", NewDocument("x", embedding=EAST))
    sessions = [server._client._server._session, server._client._admin_client._server._session]
    assert all(session.timeout.read == 10 for session in sessions)


@pytest.mark.parametrize("wrong", [{"database": "nobody_made_it"}, {"tenant": "nobody_made_it"}])
async def test_a_database_that_does_not_exist_is_not_taken_for_an_empty_one(chroma_url, wrong):
    async with ChromaClient.server(chroma_url, **wrong) as client:
        with pytest.raises(ConfigurationError, match="CHROMA_DATABASE"):
            await ChromaDocuments(client).count_documents("u")


async def test_an_app_may_bring_its_own_client(chroma_url):
    settings = Settings(anonymized_telemetry=False)
    theirs = chromadb.HttpClient(host=chroma_url, settings=settings)
    try:
        async with ChromaClient.of(theirs) as client:
            documents = ChromaDocuments(client)
            [stored] = await documents.upsert("own-client", NewDocument("x", embedding=EAST))
            assert await documents.get("own-client", stored.id) == stored
        assert theirs.heartbeat()
    finally:
        theirs.close()
        for server in (theirs._server, theirs._admin_client._server):
            server._session.close()


async def test_it_may_be_an_asynchronous_one(chroma_url):
    theirs = await chromadb.AsyncHttpClient(host=chroma_url, settings=Settings(anonymized_telemetry=False))
    documents = ChromaDocuments(ChromaClient.of(theirs))
    [stored] = await documents.upsert("async-client", NewDocument("x", embedding=EAST))
    assert await documents.get("async-client", stored.id) == stored
    assert [match.document for match in await documents.search("async-client", EAST)] == [stored]
    await theirs._server._cleanup()


async def test_closing_twice_is_harmless_and_waits_for_calls(tmp_path):
    client = ChromaClient.embedded(tmp_path)
    documents = ChromaDocuments(client)
    writing = asyncio.create_task(documents.upsert("u", NewDocument("x", embedding=EAST)))
    await writing
    await client.close()
    await client.close()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (httpx.ReadTimeout("secret"), UnavailableError),
        (errors.InternalError("secret"), UnavailableError),
        (Exception("secret"), UnavailableError),
        (errors.RateLimitError("secret"), UnavailableError),
        (errors.NotFoundError("Collection [secret] does not exist"), NotFoundError),
        (errors.NotFoundError("Database [secret] not found"), ConfigurationError),
        (errors.ChromaAuthError("secret"), ConfigurationError),
        (errors.AuthorizationError("secret"), ConfigurationError),
        (errors.QuotaError("secret"), InvalidRecordError),
        (errors.DuplicateIDError("secret"), InvalidRecordError),
        (errors.InvalidArgumentError("secret"), InvalidRecordError),
        (ValueError("secret"), InvalidRecordError),
        (errors.InvalidArgumentError("Collection expecting embedding with dimension of 2, got 3"), InvalidRecordError),
    ],
)
def test_errors_say_what_to_do_and_quote_nothing(error, kind):
    found = translated(error, "http://host:1")
    assert type(found) is kind
    assert "secret" not in str(found)
