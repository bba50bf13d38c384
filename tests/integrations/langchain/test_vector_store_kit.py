"""LangChain's own tests of a vector store, unmodified, over every kind of store."""

import pytest
from langchain_tests.integration_tests import VectorStoreIntegrationTests

from chatstore.integrations.langchain import ChatstoreVectorStore
from tests.integrations.langchain.embedding import Words


@pytest.fixture(params=["memory", "redis", "chroma", "dualwrite", "live"], scope="module")
def where(request):
    return request.param


class TestVectorStore(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, where, blocking_documents, namespace):
        documents = blocking_documents(where)
        yield ChatstoreVectorStore(self.get_embeddings(), store=documents, user_id=namespace)
        # In memory and in Redis all users' documents share their ids, and the kit uses the same ones in every test.
        documents.delete(namespace, [document.id for document in documents.list_documents(namespace).items])


def test_a_filter_by_title_and_by_an_operator_finds_on_every_side(where, blocking_documents, namespace):
    texts = ["Green tea", "Black tea", "Coffee"]
    metadatas = [{"title": text, "year": 2020 + place, "tags": ["a", "b"]} for place, text in enumerate(texts)]
    vectors = ChatstoreVectorStore(Words(), store=blocking_documents(where), user_id=namespace)
    ids = vectors.add_texts(texts, metadatas)
    assert [found.id for found in vectors.similarity_search("tea", filter={"title": "Black tea"})] == [ids[1]]
    assert [found.id for found in vectors.similarity_search("tea", filter={"year": {"$gt": 2021}})] == [ids[2]]
    [(best, distance), *_] = vectors.similarity_search_with_score("green tea")
    assert (best.id, best.metadata) == (ids[0], metadatas[0])
    assert distance == pytest.approx(0, abs=1e-6)
    diverse = vectors.max_marginal_relevance_search("green tea", k=2, lambda_mult=0.1)
    assert [found.id for found in diverse] == [ids[0], ids[2]]
