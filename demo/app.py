"""One process of the app, with its users: `python -m demo.app`. It serves until its standard input ends.

This is all that an app needs of chatstore: it opens its stores from the settings, and uses them. It is told nothing
of the migration.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from argparse import ArgumentParser, Namespace
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import chatstore
from chatstore.routing import ChatRouter, DocumentRouter
from demo.ledger import LedgerWriter
from demo.material import embedder, load
from demo.team import Teammate
from demo.users import User

READY = "serving"
"""What the process prints when its stores are open."""

_COUNT_EVERY = 0.25


async def serve(arguments: Namespace) -> None:
    """Open the stores and let the users live until standard input ends."""
    load()
    stop = _end_of_input()
    async with chatstore.open(embedder=embedder) as stores:
        chat, documents = stores.chat, stores.documents
        if not isinstance(chat, ChatRouter) or not isinstance(documents, DocumentRouter):
            raise TypeError("the settings name one side only")
        with LedgerWriter(arguments.ledger) as ledger:
            random = Random(f"{arguments.seed} {arguments.name}")
            users = [
                User(user_id, chat, documents, ledger, Random(random.random()), pause=arguments.pause)
                for user_id in arguments.users
            ]
            teammate = Teammate(arguments.name, chat, ledger, Random(random.random()), pause=arguments.pause)
            print(READY, flush=True)
            async with _counting(chat, documents, ledger):
                await asyncio.gather(teammate.live(stop), *(user.live(stop) for user in users))
                for router in (chat, documents):
                    await router.replicator.drain()
                    await router.shadow.drain()


def _end_of_input() -> asyncio.Event:
    """Return an event that is set when standard input ends: a parent that died ends it as well."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def wait() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=wait, daemon=True).start()
    return stop


@asynccontextmanager
async def _counting(chat: ChatRouter, documents: DocumentRouter, ledger: LedgerWriter) -> AsyncIterator[None]:
    """Write down beside the block how many shadow reads were made, and what they found."""

    def note() -> None:
        counts = [chat.shadow.counts, documents.shadow.counts]
        mismatched = sum(count.mismatched for count in counts)
        ledger.counts(compared=mismatched + sum(c.equal + c.pending for c in counts), mismatched=mismatched)

    async def repeat() -> None:
        while True:
            note()
            await asyncio.sleep(_COUNT_EVERY)

    counting = asyncio.create_task(repeat())
    try:
        yield
    finally:
        counting.cancel()
        note()


def _arguments() -> Namespace:
    parser = ArgumentParser(prog="python -m demo.app", description=__doc__)
    parser.add_argument("--name", required=True, help="what to call this process")
    parser.add_argument("--ledger", required=True, type=Path, help="the file to write its users' calls to")
    parser.add_argument("--seed", required=True, type=int, help="decides what the users do")
    parser.add_argument("--pause", required=True, type=float, help="seconds between two things that a user does")
    parser.add_argument("users", nargs="+", help="the ids of its users")
    return parser.parse_args()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, force=True, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    asyncio.run(serve(_arguments()))
