"""Every document store, as an app sees it and as one side of a migration."""

import pytest

from chatstore.testing.document_sides import DocumentSideSuite
from chatstore.testing.document_stores import DocumentStoreSuite
from chatstore.testing.journal import JournalSuite
from tests.conformance.registry import named

FACTORIES = named("DOCUMENTS")


@pytest.fixture(params=sorted(FACTORIES))
async def document_side(request):
    async with FACTORIES[request.param](request) as side:
        yield side


@pytest.fixture
def documents(document_side):
    return document_side


@pytest.fixture
def journal(document_side):
    return document_side.journal


class TestDocumentStores(DocumentStoreSuite):
    pass


class TestDocumentSides(DocumentSideSuite):
    pass


class TestDocumentJournals(JournalSuite):
    pass
