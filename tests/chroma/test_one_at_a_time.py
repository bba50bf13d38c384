"""Writes of one document that one process makes at once leave both sides equal, or a mark."""

import asyncio
import random

import pytest

from chatstore.chroma import ChromaClient, ChromaDocuments
from chatstore.models import Kind, NewDocument, Side, Stage, new_id, utc_now
from chatstore.routing import DocumentRouter, Sides, StageResolver, document_replicator
from chatstore.testing import MemoryDocuments
from chatstore.testing.samples import EAST
from tests.flags import Flags


@pytest.mark.parametrize("inline", [False, True])
@pytest.mark.parametrize("stage", [Stage.DUALWRITE, Stage.LIVE])
async def test_writes_at_once_end_equal_or_marked(tmp_path, stage, inline):
    async with ChromaClient.embedded(tmp_path / "chroma") as client:
        new = ChromaDocuments(client)
        holdings, chance = new._holdings, random.Random(7)

        def late(act):
            async def acting(*args):
                await asyncio.sleep(chance.random() * 0.02)
                return await act(*args)

            return acting

        holdings.write, holdings.remove = late(holdings.write), late(holdings.remove)
        sides = Sides(MemoryDocuments(Side.OLD), new)
        for side in Side:
            await sides[side].journal.remember(verified_at=utc_now(), journal_open=True)
        stages = StageResolver(Kind.DOCUMENTS, [sides[side].journal for side in Side], client=Flags(stage).client)
        router = DocumentRouter(sides, stages, replicator=document_replicator(sides, inline=inline))
        for _ in range(12):
            user, name = new_id(), new_id()
            texts = [NewDocument(text, id=name, embedding=EAST) for text in "abc"]
            await asyncio.gather(*(router.upsert(user, text) for text in texts), router.delete(user, [name]))
            await router.replicator.drain()
            old, found = [(await sides[side].list_documents(user)).items for side in Side]
            marked = [mark for side in Side for mark in await sides[side].journal.marks_of(user)]
            assert marked or old == found
        await router.close()
