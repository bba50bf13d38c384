"""What the lock files pin."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parents[2]
OUR_LOCK = REPOSITORY / "requirements.lock"
FRAMEWORKS = REPOSITORY / "tests" / "frameworks" / "pinned"
PYTHON_LOCKS = (OUR_LOCK, REPOSITORY / "scripts" / "sbom.lock", *sorted(FRAMEWORKS.glob("*.txt")))
NODE_LOCK = REPOSITORY / "src" / "chatstore" / "local" / "node" / "package-lock.json"
NODE_LOCKS = (
    NODE_LOCK,
    *sorted(lock for lock in (REPOSITORY / "tests").rglob("package-lock.json") if "node_modules" not in lock.parts),
)


@dataclass(frozen=True, slots=True)
class Pin:
    """A package that a lock names.

    Attributes:
        ecosystem: `pypi` or `npm`.
        name: The package, spelled as its registry does.
        version: The version that is installed.
        digests: What its archives are checked against, each with the algorithm before it.
        requirement: For Python, the whole line, with the machines that it is for.
        where: The lock, from the repository's root.
    """

    ecosystem: str
    name: str
    version: str
    digests: tuple[str, ...]
    where: str
    requirement: Requirement | None = None


def all_pins() -> list[Pin]:
    """Return what all locks pin."""
    return [pin for lock in PYTHON_LOCKS for pin in python_pins(lock)] + [
        pin for lock in NODE_LOCKS for pin in node_pins(lock)
    ]


def python_pins(lock: Path) -> list[Pin]:
    """Return what a requirements file pins.

    Raises:
        ValueError: A line is no name with one exact version and the digests of its archives.
    """
    return [_python_pin(line, _from_root(lock)) for line in _lines(lock.read_text())]


def node_pins(lock: Path) -> list[Pin]:
    """Return what npm's lock file pins.

    Raises:
        KeyError: A package has no version, or no digest.
    """
    packages = json.loads(lock.read_text())["packages"]
    return [
        Pin("npm", path.rpartition("node_modules/")[2], entry["version"], (entry["integrity"],), _from_root(lock))
        for path, entry in packages.items()
        if path  # the first one is the whole itself
    ]


def asked_for() -> list[Requirement]:
    """Return all that pyproject.toml names: of the package, of each of its extras, and of each group."""
    manifest = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    project = manifest["project"]
    named = [*project["dependencies"], *manifest["build-system"]["requires"]]
    for group in (*project["optional-dependencies"].values(), *manifest["dependency-groups"].values()):
        named += group
    asked = [Requirement(one) for one in named]
    return [one for one in asked if one.name != project["name"]]  # an extra that is made of others


def _lines(text: str) -> Iterator[str]:
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip() and not line.startswith("#"):
            yield line


def _python_pin(line: str, where: str) -> Pin:
    stated, *digests = line.split(" --hash=")
    requirement = Requirement(stated)
    operators = [one.operator for one in requirement.specifier]
    if operators != ["=="] or "*" in str(requirement.specifier) or requirement.url or not digests:
        raise ValueError(f"{where} does not pin {stated.strip()} to one version with digests")
    version = next(iter(requirement.specifier)).version
    found = tuple(digest.strip() for digest in digests)
    return Pin("pypi", canonicalize_name(requirement.name), version, found, where, requirement)


def _from_root(lock: Path) -> str:
    return lock.relative_to(REPOSITORY).as_posix() if lock.is_relative_to(REPOSITORY) else lock.name
