"""Runs the benchmarks and writes what they found to `docs/benchmarks.md`, a section each.

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

NAMES = (
    "chat_backfill",
    "chat_put",
    "chat_read",
    "documents",
    "verify",
    "memory",
    "workers",
    "sizes",
    "retrieval",
    "router",
)
"""In the order of the page. Each module's `measure()` returns rows, and its docstring says what they mean."""

_PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
_HEAD = """# Benchmarks

Written by `make bench`, which starts real servers of its own and measures ours beside the raw clients and the peers
**in one run**: so ratios hold, and rates are those of one machine at one moment, whose CPUs all servers and the client
share.
"""


def main(names: Sequence[str]) -> int:
    """Run these benchmarks, or all, and put the section of each into the page; return 1 if a target was missed."""
    missed = False
    for name in names or NAMES:
        module = importlib.import_module(f"benchmarks.{name}")
        print(f"\n{name}: {_summary(module)}", flush=True)
        rows = module.measure()
        show(rows)
        missed = missed or not all(row.met for row in rows)
        _PAGE.write_text(_with(name, "\n".join(_section(module, rows))), "utf-8")
    print(f"\nwritten to {_PAGE}")
    return int(missed)


def _with(name: str, section: str) -> str:
    """Return the page with another section of this name."""
    held = _PAGE.read_text("utf-8").split("\n## ")[1:] if _PAGE.exists() else []
    sections = {part.partition("\n")[0]: f"## {part.strip()}" for part in held} | {_title(name): section}
    known = [_title(one) for one in NAMES]
    ordered = sorted(sections.items(), key=lambda item: known.index(item[0]) if item[0] in known else len(known))
    return "\n\n".join([_HEAD.strip(), *(text for _, text in ordered)]) + "\n"


def _title(name: str) -> str:
    return f"`python -m benchmarks.{name}`"


def _section(module: ModuleType, rows: Sequence[Row]) -> Iterator[str]:
    yield f"## {_title(module.__name__.removeprefix('benchmarks.'))}"
    yield ""
    yield from (line for line in (module.__doc__ or "").strip().splitlines() if not line.startswith("    "))
    yield ""
    yield from table(rows)
    yield ""
    today, machine = f"{datetime.now(UTC):%Y-%m-%d}", f"{os.cpu_count()} CPUs ({platform.machine()})"
    yield f"chatstore {chatstore.__version__}, Python {platform.python_version()}, {today}, {machine}."


def _summary(module: ModuleType) -> str:
    return (module.__doc__ or "").strip().splitlines()[0]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
