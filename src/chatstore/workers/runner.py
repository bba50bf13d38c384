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


def runner_on(executor: Executor | Callable[[], Executor], recipe: Recipe, *, workers: int = 2) -> ExecutorRunner:
    """Return what does a migration's batches on an executor, for `backfill_chat(…, runner=…)`.

    A batch whose worker was lost is done again by another. The executor is not shut down here.

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

    async def __call__(self, batch: Batch[Any]) -> Done:
        """Do a batch.

        Raises:
            UnavailableError: Its worker was lost, or a server did not answer; any part of the batch was done.
            ConfigurationError: The executor broke and cannot be replaced; or a worker's settings do not do.
        """
        self._recipe.check(batch.kind)
        executor = await self._current()
        try:
            # In no thread of its own: an executor takes what it is given at once.
            future = executor.submit(copy_batch, self._recipe, batch, new_token())
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # The executor itself gave the batch up.
            raise self._lost(batch, executor, "was given up by the executor") from None
        except BrokenExecutor as error:
            raise self._lost(batch, executor, "lost its worker") from error
        except ImportError as error:
            raise ConfigurationError(
                f"a worker cannot import what it needs ({error}): install chatstore and what it is used with there, too"
            ) from error
        except Exception as error:
            if not _is_of_dask(error):
                raise
            raise UnavailableError(
                f"{_named(batch)} lost its workers, as Dask tells ({type(error).__name__}): look at the workers' logs "
                "and memory"
            ) from error

    async def _current(self) -> Executor:
        async with self._making:
            if self._executor is None and self._make is not None:
                self._executor = await asyncio.to_thread(self._make)
            if self._executor is None:
                raise ConfigurationError("the executor was given up, and there is none to replace it")
            return self._executor

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
    others = len(batch.keys) - 1
    return f"a batch ({batch.keys[0]!r}{f' and {others:,} more' if others else ''})"


def _is_of_dask(error: Exception) -> bool:
    return type(error).__module__.partition(".")[0] == "distributed"
