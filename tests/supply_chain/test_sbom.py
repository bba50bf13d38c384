"""`make sbom` lists what the locks pin, and nothing else, in the same bytes each time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.supply_chain.locks import NODE_LOCK, OUR_LOCK, REPOSITORY, Pin, node_pins, python_pins


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return two folders that it was written to, one run after the other."""
    made = [tmp_path_factory.mktemp("sbom") / str(number) for number in range(2)]
    for folder in made:
        # its schema is `make sbom`'s to check: that takes ten seconds
        command = [sys.executable, str(REPOSITORY / "scripts" / "sbom.py"), "--no-validate", str(folder)]
        subprocess.run(command, cwd=folder.parent, check=True, capture_output=True, timeout=100)
    return made


@pytest.mark.parametrize("name", ["python.cdx.json", "node.cdx.json"])
def test_two_runs_write_the_same_bytes(folders: list[Path], name: str) -> None:
    first, second = ((folder / name).read_bytes() for folder in folders)
    assert first == second


def test_it_lists_what_the_lock_pins_with_every_digest(folders: list[Path]) -> None:
    bom = _read(folders[0] / "python.cdx.json")
    listed = {
        (one["name"], one["version"]): sorted(
            f"sha256:{digest['content']}" for reference in one["externalReferences"] for digest in reference["hashes"]
        )
        for one in bom["components"]
    }
    assert listed == {(pin.name, pin.version): sorted(pin.digests) for pin in python_pins(OUR_LOCK)}
    assert len(bom["components"]) == len(listed)
    assert bom["metadata"]["component"]["name"] == "chatstore"


def test_it_lists_the_modules_of_the_local_stack(folders: list[Path]) -> None:
    bom = _read(folders[0] / "node.cdx.json")
    assert {(one["name"], one["version"]) for one in bom["components"]} == _names(node_pins(NODE_LOCK))
    assert all(one["hashes"] for one in bom["components"])


@pytest.mark.parametrize("name", ["python.cdx.json", "node.cdx.json"])
def test_it_says_nothing_of_the_machine_and_of_the_day(folders: list[Path], name: str) -> None:
    bom = _read(folders[0] / name)
    assert bom["bomFormat"] == "CycloneDX"
    assert "serialNumber" not in bom
    assert "timestamp" not in bom["metadata"]
    text = (folders[0] / name).read_text()
    assert str(REPOSITORY) not in text
    assert str(folders[0].parent) not in text


def _names(pins: list[Pin]) -> set[tuple[str, str]]:
    return {(pin.name, pin.version) for pin in pins}


def _read(file: Path) -> dict[str, Any]:
    bom: dict[str, Any] = json.loads(file.read_text())
    return bom
