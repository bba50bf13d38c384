"""A migration's batches in other processes: a pool on this machine, or a cluster's workers."""

from chatstore.workers.dask import dask_cluster
from chatstore.workers.pool import process_pool
from chatstore.workers.recipe import Recipe
from chatstore.workers.runner import ExecutorRunner, runner_on
from chatstore.workers.worker import close_workers, copy_batch

__all__ = [
    "ExecutorRunner",
    "Recipe",
    "close_workers",
    "copy_batch",
    "dask_cluster",
    "process_pool",
    "runner_on",
]
