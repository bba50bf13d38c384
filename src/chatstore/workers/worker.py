"""Doing a batch in any process, for whoever calls: its stores are opened once, and run on a loop of their own."""

from __future__ import annotations

import atexit
import concurrent.futures.thread  # noqa: F401 - it registers its end here, so that ours below comes first
import logging
import os
import pickle  # nosec B403
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chatstore.backends import Backends
from chatstore.errors import ChatStoreError, ConfigurationError
from chatstore.loop_thread import LoopThread
from chatstore.migration.batches import Batch, Done
from chatstore.migration.collecting import collecting_seldom
from chatstore.migration.copies import ChatCopy, Copy, DocumentCopy
from chatstore.models import Kind, Side
from chatstore.workers.recipe import Recipe

logger = logging.getLogger(__name__)


def copy_batch(recipe: Recipe, batch: Batch[Any], attempt: str = "") -> Done:
    """Do a batch, and return what became of it. It may be done twice, at once or later.

    What it opens for a recipe stays open in this process, for the next batch.

    Args:
        recipe: How to open the two sides.
        batch: What to do.
        attempt: Tells a call from an equal one, for executors that take equal calls for one and the same.

    Raises:
        ChatStoreError: What the batch ended with; each can be pickled.
        RuntimeError: An error that cannot be.
    """
    del attempt
    try:
        return _workshop_of(recipe).do(batch)
    except ChatStoreError:
        raise
    except Exception as error:
        if _can_travel(error):
            raise
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = "/".join(Path(frame.filename).parts[-2:])
        raise RuntimeError(f"unexpected {type(error).__name__} at {place}:{frame.lineno} in a worker") from None


def close_workers() -> None:
    """Close what `copy_batch` opened in this process; a later batch opens it again."""
    with _here.lock:
        workshops = list(_here.workshops.values())
        _here.workshops.clear()
    for workshop in workshops:
        workshop.close()


class _Workshop:
    """The stores of one recipe, open in this process."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._backends = Backends(recipe.settings_here())
        self._copies: dict[tuple[Kind, Side], Copy[Any]] = {}
        self._checked: dict[tuple[Kind, Side], str] = {}
        self._thread = LoopThread()

    def do(self, batch: Batch[Any]) -> Done:
        return self._thread.run(self._do(batch))

    def close(self) -> None:
        try:
            self._thread.run(self._backends.close())
        except Exception as error:  # noqa: BLE001 - there is nothing left to do with it
            logger.warning("a worker's connections could not be closed in order: %s", error)
        finally:
            self._thread.stop()

    def let_go(self) -> None:
        self._thread.let_go()

    async def _do(self, batch: Batch[Any]) -> Done:
        way = batch.kind, batch.source
        if way not in self._copies:
            self._recipe.check(batch.kind)
            self._copies[way] = await self._copy(*way)
        if self._checked.get(way) != batch.holder:
            await self._check_same_servers(self._copies[way], batch.holder)
            self._checked[way] = batch.holder
        with collecting_seldom():
            return await self._copies[way].do(batch)

    async def _copy(self, kind: Kind, source: Side) -> Copy[Any]:
        copy: Copy[Any]
        if kind is Kind.CHAT:
            chat = await self._backends.chat_sides()
            copy = ChatCopy(chat[source], chat[source.other])
        else:
            documents = await self._backends.document_sides()
            copy = DocumentCopy(documents[source], documents[source.other])
        return copy

    async def _check_same_servers(self, copy: Copy[Any], holder: str) -> None:
        """Check that these are the planner's servers, as far as that shows.

        Redis tells who holds the lease there. Of the other side it shows only that the planner opened its journal, as
        it does before the first batch, or that somebody did before.

        Raises:
            ConfigurationError: They are not.
        """
        others = "they name another server, or another database of it, than those of the migration"
        for side, journal in zip((copy.source_side, copy.target_side), copy.journals, strict=True):
            if not (await journal.state()).journal_open:
                raise ConfigurationError(
                    f"what a worker's settings name as the {side} side is not being migrated: {others}"
                )
        held = await self._backends.progress(copy.kind).holder()
        if held != holder:
            raise ConfigurationError(
                f"the Redis that a worker's settings name knows nothing of this run, or its lease was lost: {others}"
            )


class _Here:
    """What this process has opened."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.workshops: dict[bytes, _Workshop] = {}
        self.inherited: list[_Workshop] = []

    def forget(self) -> None:
        """In a forked child: leave the parent's alone. They are kept, as their end would do something to the parent."""
        self.lock = threading.Lock()
        for workshop in self.workshops.values():
            workshop.let_go()
        self.inherited += self.workshops.values()
        self.workshops = {}


_here = _Here()


def _workshop_of(recipe: Recipe) -> _Workshop:
    name = pickle.dumps(recipe)
    with _here.lock:
        if name not in _here.workshops:
            _here.workshops[name] = _Workshop(recipe)
        return _here.workshops[name]


def _can_travel(error: Exception) -> bool:
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes # nosec B301
    except Exception:  # noqa: BLE001 - whatever a library's error does
        return False
    return True


# Before the executors are shut down, without which nothing goes on: as in `chatstore.sync`.
_at_end: Callable[[Callable[[], None]], object] = getattr(threading, "_register_atexit", atexit.register)
_at_end(close_workers)

if hasattr(os, "register_at_fork"):  # not where there is no fork
    os.register_at_fork(after_in_child=_here.forget)
