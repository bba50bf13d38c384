"""The processes that are killed: an app, as it uses chatstore, and what its operator runs beside it.

Each function is the whole of a process. It is forked from a parent that has imported everything and opened nothing, so
that a start costs milliseconds.
"""

import asyncio
import logging
import os
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random
from unittest.mock import patch

from openfeature import api

import chatstore
from chatstore.app import DOMAIN
from chatstore.backends import Backends
from chatstore.chroma import exclusion
from chatstore.cli import main
from chatstore.cli.output import Status
from chatstore.errors import ChatStoreError
from chatstore.migration import BackfillOptions, backfill_chat, backfill_documents
from chatstore.migration.patience import Patience
from chatstore.models import Kind
from chatstore.routing import chat_repairer, document_repairer, documents, merge
from chatstore.settings import load_settings
from demo.ledger import LedgerWriter
from tests.chaos.stages import StageFile
from tests.chaos.users import Actor

logger = logging.getLogger(__name__)

# Each longer than what it is the lease of takes on a busy machine, and short enough to wait for after many kills.
LEASE = timedelta(seconds=6)
JOIN_LEASE = timedelta(seconds=3)
TASKS = 2
READY, MOVED, DONE = "ready", "moved", "done"


@dataclass(frozen=True)
class Place:
    """Where a process lives: the servers, the users, and the folder of the run."""

    environment: dict
    folder: Path
    users: tuple


@contextmanager
def short_leases():
    """Leases that a test can wait for."""
    with (
        patch.object(documents, "LEASE", LEASE),
        patch.object(merge, "ANNOUNCEMENT", LEASE),
        patch.object(exclusion, "LEASE", JOIN_LEASE),
    ):
        yield


@contextmanager
def _process(place, name):
    """What every process begins with: its settings, its log, and leases that a test can wait for."""
    os.environ.update(place.environment)
    sys.stdout = sys.stderr = (place.folder / f"{name}.log").open("w", buffering=1)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, force=True, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        with short_leases():
            yield
    except BaseException:
        logger.exception("the process ends")
        sys.stderr.flush()
        raise


def serve(place, slot, name, seed, pipe):
    """An app: several users at once, at the stages of the stage file, until told to stop."""
    with _process(place, name):
        asyncio.run(_serve(place, slot, name, seed, pipe))


async def _serve(place, slot, name, seed, pipe):
    api.set_provider(StageFile(place.folder / "stages.json").provider(slot), DOMAIN)
    missed = _Missed()
    logging.getLogger("chatstore.routing").addHandler(missed)
    with LedgerWriter(place.folder / f"{name}.jsonl") as ledger:
        async with chatstore.open(load_settings(_env_file=None)) as stores:
            stop = asyncio.Event()
            threading.Thread(target=_wait, args=(pipe, asyncio.get_running_loop(), stop), daemon=True).start()
            pipe.send(READY)
            random = Random(seed)
            actors = [
                Actor(f"{name}.{task}", place.users, stores, ledger, random=Random(random.random()), missed=missed)
                for task in range(TASKS)
            ]
            await asyncio.gather(*(actor.act(stop) for actor in actors))
    pipe.send(DONE)


def _wait(pipe, loop, stop):
    try:
        pipe.recv()
    finally:
        loop.call_soon_threadsafe(stop.set)


class _Missed(logging.Handler):
    """Notices that the library served a call without what another side had marked: it says so in its log, once.

    It promises no more while a side is away. From then on this process's reads prove nothing, nor does its order.
    """

    def __init__(self):
        super().__init__()
        self.any = False

    def emit(self, record):
        self.any = self.any or "before a call" in record.getMessage() or "may wait for" in record.getMessage()


def migrate(place, name, pipe):
    """A migrator: both kinds, small batches, so that a kill finds it in the middle."""
    with _process(place, name):
        pipe.send(READY)
        while True:
            try:
                patience = Patience(first=0.1, longest=0.5)
                asyncio.run(backfill(load_settings(_env_file=None), patience, lambda _: pipe.send(MOVED)))
            except ChatStoreError:  # what an operator does then: look at the server, and call it again
                logger.exception("the migrator ends, and is called again")
                time.sleep(0.3)
            else:
                break
        pipe.send(DONE)


async def backfill(settings, patience, on_progress=None):
    options = BackfillOptions(batch=20, lease_seconds=1.0, patience=patience)
    async with Backends(settings) as backends:
        for kind, sides, copy, repairer in (
            (Kind.CHAT, await backends.chat_sides(), backfill_chat, chat_repairer),
            (Kind.DOCUMENTS, await backends.document_sides(), backfill_documents, document_repairer),
        ):
            repair = repairer(sides).run
            progress = backends.progress(kind)
            await copy(sides.old, sides.new, progress, repair=repair, on_progress=on_progress, options=options)


def repair(place, name, pipe):
    """The command `chatstore repair --watch`, called again when it could not begin because a server was away."""
    with _process(place, name):
        sys.argv = ["chatstore", "repair", "--watch"]
        pipe.send(READY)
        while True:
            try:
                main()
            except SystemExit as end:
                if end.code != Status.CANNOT:
                    raise
                time.sleep(0.3)
