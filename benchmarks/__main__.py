"""Runs the benchmarks and writes what they found to `docs/benchmarks.md`.

    make bench
    python -m benchmarks [NAME ...]

Ratios of one run hold; absolute times are those of one machine at one moment.
"""

from __future__ import annotations

import importlib
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import chatstore
from benchmarks.results import Row, show, table

NAMES = ("chat_backfill", "documents", "verify", "memory", "router")
"""In the order of the page. Each module's `measure()` returns rows, and its docstring says what they mean."""

_PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"


def main(names: Sequence[str]) -> int:
    """Run these benchmarks, or all of them, which also writes the page; return 1 if a target was missed."""
    found: list[tuple[ModuleType, list[Row]]] = []
    for name in names or NAMES:
        module = importlib.import_module(f"benchmarks.{name}")
        print(f"\n{name}: {_summary(module)}", flush=True)
        rows = module.measure()
        show(rows)
        found.append((module, rows))
    if not names:
        _PAGE.write_text("\n".join(_page(found)) + "\n", "utf-8")
        print(f"\nwritten to {_PAGE.relative_to(Path.cwd())}")
    return 0 if all(row.met for _, rows in found for row in rows) else 1


def _page(found: Sequence[tuple[ModuleType, list[Row]]]) -> Iterator[str]:
    yield "# Benchmarks"
    yield ""
    yield "Written by `make bench`, which starts real servers of its own and measures ours beside the raw clients and"
    yield "the peers **in one run**: so ratios hold, and rates are those of one machine at one moment."
    yield ""
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    yield f"chatstore {chatstore.__version__}, Python {platform.python_version()}, {today}; {os.cpu_count()} CPUs"
    yield f"({platform.machine()}), shared by all servers and the client."
    for module, rows in found:
        name = module.__name__.removeprefix("benchmarks.")
        yield ""
        yield f"## `python -m benchmarks.{name}`"
        yield ""
        yield from (line.strip() for line in (module.__doc__ or "").strip().splitlines() if not line.startswith("    "))
        yield ""
        yield from table(rows)


def _summary(module: ModuleType) -> str:
    return (module.__doc__ or "").strip().splitlines()[0]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
