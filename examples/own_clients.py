"""An app that has its clients already gives them to chatstore.

Run it with the settings of your servers in the environment or in `.env.local`: `python examples/own_clients.py`.
"""

import asyncio
import os
from collections.abc import Sequence

import chromadb
import httpx
from redis.asyncio import Redis
from supabase import AsyncClientOptions, acreate_client

import chatstore


async def embed(texts: Sequence[str]) -> list[chatstore.Embedding]:
    """Stand for your embedding model: one vector for each text."""
    return [chatstore.Embedding.of([text.count(letter) for letter in "aeiou"]) for text in texts]


async def main() -> None:
    async with (
        Redis.from_url(os.environ["REDIS_URL"]) as redis,
        httpx.AsyncClient() as requests,
    ):
        supabase = await acreate_client(
            os.environ["SUPABASE_URL"], os.environ["SUPABASE_SECRET_KEY"], AsyncClientOptions(httpx_client=requests)
        )
        chroma = chromadb.HttpClient(os.environ["CHROMA_URL"])
        async with chatstore.open(redis=redis, supabase=supabase, chroma=chroma, embedder=embed) as stores:
            await stores.documents.upsert("ann", chatstore.NewDocument("Green tea is steamed.", title="Green tea"))
            await stores.documents.upsert("ann", chatstore.NewDocument("Oolong is half oxidised.", title="Oolong"))
            for match in await stores.documents.search("ann", "how is green tea made?", k=1):
                print(f"{match.document.title} ({match.score:.2f})")


asyncio.run(main())
