"""The stores in memory: the suite's own definition of right."""

from contextlib import asynccontextmanager

from chatstore.models import Side
from chatstore.testing import MemoryChat, MemoryDocuments, MemoryProgress


@asynccontextmanager
async def _old_chat(request):
    yield MemoryChat(Side.OLD)


@asynccontextmanager
async def _new_chat(request):
    yield MemoryChat(Side.NEW)


@asynccontextmanager
async def _documents(request):
    yield MemoryDocuments(Side.NEW)


@asynccontextmanager
async def _progress(request):
    yield MemoryProgress()


CHAT = {"memory-old": _old_chat, "memory-new": _new_chat}
DOCUMENTS = {"memory": _documents}
PROGRESS = {"memory": _progress}
