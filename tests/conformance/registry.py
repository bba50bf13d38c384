"""Finds what the conformance suite runs on: the dicts CHAT, DOCUMENTS and PROGRESS of the modules in `factories`."""

import importlib
import pkgutil
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from tests.conformance import factories

Factory = Callable[[pytest.FixtureRequest], AbstractAsyncContextManager[Any]]


def named(kind: str) -> dict[str, Factory]:
    """Return every factory of a kind (`CHAT`, `DOCUMENTS`, `PROGRESS`) by its name."""
    found: dict[str, Factory] = {}
    for module in pkgutil.iter_modules(factories.__path__):
        loaded = importlib.import_module(f"{factories.__name__}.{module.name}")
        found.update(getattr(loaded, kind, {}))
    return found
