"""The options `--workers` and `--dask`: who copies the batches of a migration."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from chatstore.cli.output import say
from chatstore.errors import ConfigurationError
from chatstore.models import Kind

if TYPE_CHECKING:
    from chatstore.backends import Backends
    from chatstore.workers import ExecutorRunner

Workers = Annotated[
    int | None, typer.Option("--workers", min=1, metavar="N", help="Copy by so many processes on this machine.")
]
Dask = Annotated[
    str | None,
    typer.Option("--dask", metavar="ADDRESS", help="Copy by the workers of this Dask scheduler (tcp://host:8786)."),
]


class Hands:
    """Who copies.

    Args:
        runner: What runs the batches; None: this process.
        embedded: Whether Chroma is in this process, which must copy documents itself then.
    """

    def __init__(self, runner: ExecutorRunner | None, *, embedded: bool) -> None:
        self._runner = runner
        self._embedded = embedded

    def of(self, kind: Kind) -> ExecutorRunner | None:
        """Return what runs the batches of a kind; None: this process."""
        if self._runner is not None and kind is Kind.DOCUMENTS and self._embedded:
            say("documents: copied by this process alone, as an embedded Chroma (CHROMA_PATH) can have no other")
            return None
        return self._runner


@asynccontextmanager
async def hands(backends: Backends, *, workers: int | None, dask: str | None) -> AsyncGenerator[Hands, None]:
    """Yield who copies; what it is made of ends with the block.

    Raises:
        ConfigurationError: Both are asked for, or one that is not to be had.
        UnavailableError: The Dask scheduler does not answer.
    """
    if workers is not None and dask is not None:
        raise ConfigurationError("--workers and --dask are two answers to one question: give one of them")
    if workers is None and dask is None:
        yield Hands(None, embedded=False)
        return
    from chatstore.workers import Recipe, dask_cluster, process_pool

    recipe = Recipe.of(backends)
    making = dask_cluster(dask, recipe) if dask is not None else process_pool(recipe, workers or 1)
    async with making as runner:
        yield Hands(runner, embedded=backends.settings.chroma_path is not None)
