"""What our runs install is pinned, by digest, and is what pyproject.toml asks for."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from tests.supply_chain.locks import (
    NODE_LOCKS,
    OUR_LOCK,
    PYTHON_LOCKS,
    Pin,
    asked_for,
    node_pins,
    python_pins,
)

_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")
_SHA512 = re.compile(r"sha512-[A-Za-z0-9+/]{86}==")


def test_every_package_is_pinned_to_a_version_and_its_archives_to_their_digests() -> None:
    for lock in PYTHON_LOCKS:
        pins = python_pins(lock)
        assert pins
        assert [pin for pin in pins if not all(map(_SHA256.fullmatch, pin.digests))] == []


def test_every_node_module_is_pinned_to_a_version_and_a_digest() -> None:
    for lock in NODE_LOCKS:
        pins = node_pins(lock)
        assert pins
        assert [pin for pin in pins if not all(map(_SHA512.fullmatch, pin.digests))] == []


@pytest.mark.parametrize(
    "line",
    [
        "redis",
        "redis==8.1.0",
        f"redis>=8.1.0 --hash=sha256:{'0' * 64}",
        f"redis==8.* --hash=sha256:{'0' * 64}",
        f"redis @ https://example.org/redis.whl --hash=sha256:{'0' * 64}",
    ],
)
def test_a_line_that_pins_less_is_not_taken_for_a_pin(line: str, tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text(f"{line}\n")
    with pytest.raises(ValueError, match=r"does not pin redis"):
        python_pins(lock)


@pytest.mark.parametrize("lock", [*PYTHON_LOCKS, *NODE_LOCKS], ids=lambda lock: lock.stem)
def test_a_lock_names_no_registry_so_that_each_machine_asks_its_own(lock: Path) -> None:
    text = lock.read_text()
    assert "--index-url" not in text
    assert "--extra-index-url" not in text
    assert "--find-links" not in text
    assert '"resolved"' not in text


def test_what_pyproject_asks_for_is_in_the_lock_and_new_enough() -> None:
    pinned: dict[str, list[Pin]] = {}
    for pin in python_pins(OUR_LOCK):
        pinned.setdefault(pin.name, []).append(pin)
    unmet = [
        f"{wanted}: the lock has {[pin.version for pin in found] or 'none'}"
        for wanted in asked_for()
        if not (found := pinned.get(canonicalize_name(wanted.name), []))
        or not all(wanted.specifier.contains(pin.version) for pin in found)
    ]
    assert unmet == []


def test_what_runs_here_is_what_the_lock_pins() -> None:
    """Else the tests say nothing of the lock. `make` installs it anew after it has changed."""
    other = {
        pin.name: (pin.version, here)
        for pin in python_pins(OUR_LOCK)
        if pin.requirement is not None
        and (pin.requirement.marker is None or pin.requirement.marker.evaluate())
        and (here := metadata.version(pin.name)) != pin.version
    }
    assert other == {}
