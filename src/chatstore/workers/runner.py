"""Running batches on an executor, whose workers may die."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor
from typing import Any

from chatstore.errors import ConfigurationError, UnavailableError
from chatstore.migration.batches import Batch, Done
from chatstore.models import new_token
from chatstore.workers.recipe import Recipe
from chatstore.workers.worker import copy_batch

_A_WORKER = 4
"""Batches at once: while some wait for a server, their worker has others to do, as this process has."""

_POOLS = 3
"""So many in a row that broke before a batch of theirs had ended: their workers do not die, they cannot start."""

_SHOWN = 64
"""So many characters of an id: one may be of megabytes."""


def runner_on(executor: Executor | Callable[[], Executor], recipe: Recipe, *, workers: int = 2) -> ExecutorRunner:
    """Return what does a migration's batches on an executor, for `backfill_chat(…, runner=…)`.

    A batch whose worker was lost is done again by another, unless workers cannot start at all. The executor is not shut
    down here.

    Args:
        executor: Where to do them; or what makes it, so that one that broke, as a process pool does when one of its
            processes dies, is replaced by a new one.
        recipe: How a worker opens the two sides.
        workers: How many it has: `ExecutorRunner.at_once` follows from that.
    """
    return ExecutorRunner(executor, recipe, workers=workers)


class ExecutorRunner:
    """Does batches on an executor: a `Runner`. Made by `runner_on`, `process_pool` or `dask_cluster`.

    Attributes:
        at_once: How many batches keep the workers busy; give it to `BackfillOptions`.
    """

    def __init__(self, executor: Executor | Callable[[], Executor], recipe: Recipe, *, workers: int) -> None:
        self.at_once = max(1, workers) * _A_WORKER
        self._recipe = recipe
        self._make = None if isinstance(executor, Executor) else executor
        self._executor = executor if isinstance(executor, Executor) else None
        self._making = asyncio.Lock()
        self._works = False
        self._broken_at_once = 0

    async def __call__(self, batch: Batch[Any]) -> Done:
        """Do a batch.

        Raises:
            UnavailableError: Its worker was lost, or a server did not answer; any part of the batch was done.
            ConfigurationError: The executor broke and cannot be replaced; or so did several in a row before a batch had
                ended; or a worker's settings do not do.
        """
        self._recipe.check(batch.kind)
        executor = await self._current()
        try:
            # In no thread of its own: an executor takes what it is given at once.
            future = executor.submit(copy_batch, self._recipe, batch, new_token())
            done = await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # The executor itself gave the batch up.
            raise self._lost(batch, executor, "was given up by the executor") from None
        except BrokenExecutor as error:
            raise self._broken(batch, executor) from error
        except ImportError as error:
            raise ConfigurationError(
                f"a worker cannot import what it needs ({error}): install chatstore and what it is used with there, too"
            ) from error
        except Exception as error:
            if not _is_of_dask(error):
                self._has_worked(executor)
                raise
            raise UnavailableError(
                f"{_named(batch)} lost its workers, as Dask tells ({type(error).__name__}): look at the workers' logs "
                "and memory"
            ) from error
        self._has_worked(executor)
        return done

    async def _current(self) -> Executor:
        async with self._making:
            if self._executor is None and self._make is not None:
                self._executor = await asyncio.to_thread(self._make)
                self._works = False
            if self._executor is None:
                raise ConfigurationError("the executor was given up, and there is none to replace it")
            return self._executor

    def _has_worked(self, executor: Executor) -> None:
        # An executor that broke just now may have done a batch whose result is heard of only after that.
        self._broken_at_once = 0
        if self._executor is executor:
            self._works = True

    def _broken(self, batch: Batch[Any], executor: Executor) -> UnavailableError | ConfigurationError:
        if self._make is not None and self._executor is executor and not self._works:
            self._broken_at_once += 1
            if self._broken_at_once >= _POOLS:
                # It stays, so that the batches that were under way end like this one, and none makes another.
                return ConfigurationError(
                    f"{_POOLS} pools in a row broke before any batch of theirs had ended, the last with "
                    f"{_named(batch)}: their workers cannot start, or are killed at once. Look at what they print: an "
                    "initializer or an import that fails, too little memory, or a script that starts the migration "
                    'without `if __name__ == "__main__":`, which every worker runs again'
                )
        return self._lost(batch, executor, "lost its worker")

    def _lost(self, batch: Batch[Any], executor: Executor, how: str) -> UnavailableError | ConfigurationError:
        what = f"{_named(batch)} {how}: was a process killed, for want of memory say?"
        if self._make is None:
            return ConfigurationError(
                f"{what} The executor cannot go on; to have it replaced, give a function that makes it: "
                "runner_on(lambda: ProcessPoolExecutor(4), recipe)"
            )
        if self._executor is executor:
            self._executor = None
        return UnavailableError(what)


def _named(batch: Batch[Any]) -> str:
    first, others = repr(batch.keys[0]), len(batch.keys) - 1
    if len(first) > _SHOWN:
        first = f"{first[:_SHOWN]}…"
    return f"a batch ({first}{f' and {others:,} more' if others else ''})"


def _is_of_dask(error: Exception) -> bool:
    return type(error).__module__.partition(".")[0] == "distributed"
