"""The releases that are known to be bad, by `known_bad.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.specifiers import SpecifierSet

from tests.supply_chain.locks import Pin

_LIST: dict[str, list[dict[str, Any]]] = tomllib.loads((Path(__file__).parent / "known_bad.toml").read_text())
BAD = _LIST["bad"]
EXCEPTIONS = _LIST["exception"]


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """A bad release that is pinned, or let in."""

    where: str
    package: str
    version: str
    advisory: str


def found(pins: Iterable[Pin]) -> Iterable[Finding]:
    """Yield what of some pins is on the list."""
    by_package: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for entry in BAD:
        by_package.setdefault((entry.get("ecosystem", "pypi"), entry["package"]), []).append(entry)
    for pin in pins:
        for entry in by_package.get((pin.ecosystem, pin.name), []):
            if any(SpecifierSet(one).contains(pin.version, prereleases=True) for one in entry["versions"]):
                yield Finding(pin.where, pin.name, pin.version, entry["advisory"])


def is_excepted(finding: Finding) -> bool:
    """Return whether it may stay, for a reason that the list gives."""
    return any(
        finding.package == exception["package"]
        and finding.where in exception["where"]
        and finding.advisory in exception["advisories"]
        for exception in EXCEPTIONS
    )
