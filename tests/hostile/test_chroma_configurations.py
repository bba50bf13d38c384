"""What a collection's stored configuration would have built: nothing of it is, whoever made the collection."""

import os

import httpx
import pytest
from chromadb import EmbeddingFunction
from chromadb.utils import embedding_functions

from chatstore.chroma import ChromaClient, ChromaDocuments, Single
from chatstore.errors import ConfigurationError
from chatstore.models import Embedding, NewDocument
from tests.conformance.factories.chroma import new_database

EAST = Embedding.of([1, 0])
KNOWN = "chatstore-test-evil"

built = []
"""What was built from a stored configuration, or called, in this process."""


class Evil(EmbeddingFunction):
    """An embedding function that does harm when it is built: those that chromadb knows load models, and read keys."""

    def __init__(self, command):
        self.command = command

    def __call__(self, input):  # noqa: A002 - chromadb calls it so
        built.append("called")
        return [[1.0, 0.0] for _ in input]

    @staticmethod
    def name():
        return KNOWN

    def get_config(self):
        return {"command": self.command}

    @staticmethod
    def build_from_config(config):
        built.append(config["command"])
        return Evil(config["command"])


@pytest.fixture
def known(monkeypatch):
    """As chromadb knows its own, under their names."""
    monkeypatch.setitem(embedding_functions.known_embedding_functions, KNOWN, Evil)
    built.clear()


@pytest.fixture
def database(chroma_url):
    return new_database(chroma_url)


def make_collection(chroma_url, database, configuration):
    path = f"/api/v2/tenants/default_tenant/databases/{database}/collections"
    answer = httpx.post(
        chroma_url + path, json={"name": "docs", "configuration": configuration}, trust_env=False, timeout=60
    )
    answer.raise_for_status()


def named(name, **config):
    return {"hnsw": {"space": "l2"}, "embedding_function": {"type": "known", "name": name, "config": config}}


async def test_an_embedding_function_of_a_configuration_is_never_built(chroma_url, database, known):
    make_collection(chroma_url, database, named(KNOWN, command="rm -rf"))
    async with ChromaClient.server(chroma_url, database=database, timeout=60) as client:
        documents = ChromaDocuments(client, plan=Single("docs"))
        await documents.upsert("u", NewDocument("tea", id="d", embedding=EAST))
        assert (await documents.get("u", "d")).text == "tea"
        assert len(await documents.search("u", EAST, where={"title": ""})) == 1
        assert len((await documents.list_documents("u")).items) == 1
        assert await documents.count_documents("u") == 1
        assert await documents.count() == 1
        assert [page async for page in documents.scan()]
        assert await documents.delete("u", ["d"]) == 1
    assert built == []


async def test_chromadb_itself_builds_it_at_an_upsert(chroma_url, database, known):
    make_collection(chroma_url, database, named(KNOWN, command="rm -rf"))
    async with ChromaClient.server(chroma_url, database=database, timeout=60) as client:
        collection = await client.call("get_collection", name="docs", embedding_function=None)
        await client.run(collection.upsert, ids=["d"], embeddings=[[1.0, 0.0]])
    assert "rm -rf" in built, "no longer: then what takes the schema away may go"


# Of chromadb's own, with arguments by which the older ones load somebody's code, or tell a key to somebody.
CONFIGURATIONS = {
    "sentence_transformer": {"model_name": "x/y", "device": "cpu", "normalize_embeddings": False, "kwargs": {}},
    "openai": {"api_key_env_var": "CHATSTORE_CANARY", "model_name": "x", "api_base": "http://127.0.0.1:9"},
    "huggingface": {"api_key_env_var": "CHATSTORE_CANARY", "model_name": "x"},
    "ollama": {"url": "http://127.0.0.1:9", "model_name": "x", "timeout": 1},
    "default": {},
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
async def test_those_that_chromadb_knows_are_not_built_either(chroma_url, database, monkeypatch, name):
    function = embedding_functions.known_embedding_functions[name]
    monkeypatch.setattr(function, "build_from_config", built.append)
    monkeypatch.setitem(os.environ, "CHATSTORE_CANARY", "sk-canary")
    built.clear()
    make_collection(chroma_url, database, named(name, **CONFIGURATIONS[name]))
    async with ChromaClient.server(chroma_url, database=database, timeout=60) as client:
        documents = ChromaDocuments(client, plan=Single("docs"))
        await documents.upsert("u", NewDocument("tea", id="d", embedding=EAST))
        assert (await documents.search("u", EAST))[0].document.text == "tea"
    assert built == []


REMOTE_CODE = {
    "on": {"kwargs": {"trust_remote_code": True}},
    "off, which an update could turn on": {"kwargs": {"trust_remote_code": False}},
    "deep": {"kwargs": {"model_kwargs": {"trust_remote_code": True}}},
}


@pytest.mark.parametrize("config", REMOTE_CODE.values(), ids=REMOTE_CODE)
async def test_one_that_trusts_remote_code_is_refused(chroma_url, database, config):
    whole = {"model_name": "x/y", "device": "cpu", "normalize_embeddings": False, **config}
    make_collection(chroma_url, database, named("sentence_transformer", **whole))
    async with ChromaClient.server(chroma_url, database=database, timeout=60) as client:
        documents = ChromaDocuments(client, plan=Single("docs"))
        with pytest.raises(ConfigurationError, match="trust_remote_code"):
            await documents.upsert("u", NewDocument("tea", id="d", embedding=EAST))
        with pytest.raises(ConfigurationError, match="use another collection"):
            await documents.search("u", EAST)
