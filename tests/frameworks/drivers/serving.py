"""What all Python drivers share: the JSON lines, and an embedding that needs no model. Runs in the framework's environment."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Any

DIMENSIONS = 8


def embed(text: str) -> list[float]:
    """Return the embedding of a text: as good as random, the same everywhere, exact in each of Redis's float types."""
    return [(2 * byte - 255) / 256 for byte in hashlib.sha256(text.encode()).digest()[:DIMENSIONS]]


def serve(functions: dict[str, Callable[..., Any]], *packages: str) -> None:
    """Answer calls until stdin ends. The first line that goes out tells the packages' versions."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints must not get between our lines
    warnings.simplefilter("ignore")
    _write(out, {"result": {package: importlib.metadata.version(package) for package in packages}})
    for line in sys.stdin:
        call = json.loads(line)
        try:
            reply = {"result": functions[call["function"]](**call["arguments"])}
        except Exception:  # noqa: BLE001 - whatever it is, the test is told
            reply = {"error": traceback.format_exc()}
        _write(out, reply)


def _write(out: Any, reply: dict[str, Any]) -> None:
    out.write(json.dumps(reply) + "\n")
    out.flush()
