"""Every chat store, as an app sees it and as one side of a migration."""

import pytest

from chatstore.testing.chat_expiry import ChatExpirySuite, ChatSideExpirySuite
from chatstore.testing.chat_sides import ChatSideSuite
from chatstore.testing.chat_stores import ChatStoreSuite
from chatstore.testing.journal import JournalSuite
from tests.conformance.registry import named

FACTORIES = named("CHAT")


@pytest.fixture(params=sorted(FACTORIES))
async def chat_side(request):
    async with FACTORIES[request.param](request) as side:
        yield side


@pytest.fixture
def chat(chat_side):
    return chat_side


@pytest.fixture
def journal(chat_side):
    return chat_side.journal


class TestChatStores(ChatStoreSuite):
    pass


class TestChatSides(ChatSideSuite):
    pass


class TestChatExpiry(ChatExpirySuite):
    pass


class TestChatSideExpiry(ChatSideExpirySuite):
    pass


class TestChatJournals(JournalSuite):
    pass
