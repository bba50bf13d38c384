"""How much memory Redis needs for what chatstore writes down beside records that have no ids, times or owners.

    python -m benchmarks.ledgers

starts a Valkey, fills it, scans it as `chatstore migrate` does, and sums `MEMORY USAGE` over the keys that are ours.
`chatstore inspect` quotes it (`chatstore.preflight.memory`).
"""

from __future__ import annotations

import asyncio
import json
import struct
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from chatstore.local import ports
from chatstore.local.state import StateFile
from chatstore.local.valkey import Valkey
from chatstore.ownership import load_owners
from chatstore.redis import Client, RedisChat, RedisDocuments, chat_layout, connect, document_layout


@asynccontextmanager
async def server() -> AsyncIterator[str]:
    """Run a Valkey of our own."""
    with tempfile.TemporaryDirectory(prefix="chatstore-benchmark-") as folder:
        state = StateFile(Path(folder))
        (state.folder / "logs").mkdir()
        state.set_port(Valkey.name, ports.free_port())
        valkey = Valkey(state)
        valkey.start(may_move=True)
        try:
            yield valkey.url
        finally:
            valkey.stop()


async def of_chat(client: Client, sessions: int, messages: int) -> float:
    """Return the bytes for so many sessions of so many messages each, in the layout `langchain`."""
    await client.ask("FLUSHDB")
    for session in range(sessions):
        items = [
            json.dumps({"type": "human", "data": {"content": f"{session} {place} " + "words " * 30}})
            for place in range(messages)
        ]
        for start in range(0, messages, 1000):
            await client.ask("LPUSH", f"message_store:session-{session:06}", *items[start : start + 1000])
    chat = RedisChat(client, chat_layout("langchain", owners=load_owners("all:alice")))
    async for _ in chat.scan():
        pass
    return await _ours(client)


async def of_documents(client: Client, documents: int) -> float:
    """Return the bytes for so many documents, in the layout `langchain-redis`."""
    await client.ask("FLUSHDB")
    vector = struct.pack("<384f", *(0.5 for _ in range(384)))
    for number in range(documents):
        fields = {"text": f"{number} " + "words " * 100, "_index_name": "docs", "_metadata_json": "{}"}
        flat = [part for pair in fields.items() for part in pair]
        await client.ask("HSET", f"docs:{number:026}", *flat, "embedding", vector)
    layout = document_layout("langchain-redis", prefix="docs:", owners=load_owners("all:alice"))
    store = RedisDocuments(client, layout)
    async for _ in store.scan():
        pass
    return await _ours(client)


async def _ours(client: Client) -> float:
    cursor, total = 0, 0
    while True:
        place, keys = await client.ask("SCAN", cursor, "MATCH", "chatstore:*", "COUNT", 1000)
        total += sum(await client.ask_all(("MEMORY", "USAGE", key, "SAMPLES", 0) for key in keys))
        cursor = int(place)
        if not cursor:
            return float(total)


async def measure() -> dict[str, float]:
    """Return the bytes a session, a message of a short and of a long session, and a document."""
    async with server() as url, connect(url) as client:
        short = await of_chat(client, 200, 1) / 200
        twenty = await of_chat(client, 200, 20) / 200
        long = await of_chat(client, 4, 5000) / 4
        document = await of_documents(client, 500) / 500
    return {
        "session": round(short - (twenty - short) / 19),
        "message of a session of 20": round((twenty - short) / 19),
        "message of a session of 5,000": round(long / 5000),
        "document": round(document),
    }


if __name__ == "__main__":
    for what, size in asyncio.run(measure()).items():
        sys.stdout.write(f"{size:>6,} bytes a {what}\n")
