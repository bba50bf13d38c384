"""LangChain's own tests of a vector store, unmodified, over every kind of store."""

import pytest
from langchain_tests.integration_tests import VectorStoreIntegrationTests

from chatstore.integrations.langchain_documents import ChatstoreVectorStore


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
