"""Looking at a Redis before anything is done: what is in it, and what a migration would make of it."""

from chatstore.redis.inspection.checking import Checks
from chatstore.redis.inspection.engine import SAMPLE, Options, inspect
from chatstore.redis.inspection.report import (
    Count,
    Expiry,
    Finding,
    Group,
    Inspection,
    Records,
    Rival,
    Sizes,
    Unclaimed,
    Whose,
)

__all__ = [
    "SAMPLE",
    "Checks",
    "Count",
    "Expiry",
    "Finding",
    "Group",
    "Inspection",
    "Options",
    "Records",
    "Rival",
    "Sizes",
    "Unclaimed",
    "Whose",
    "inspect",
]
