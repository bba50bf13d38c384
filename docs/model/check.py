#!/usr/bin/env python3
"""Checks the models of the protocol with Spin, and that each mechanism is needed: without it, Spin finds a failure.

`make model` runs all; `docs/model/check.py chat` runs those whose names begin so. `--trace NAME` prints the
schedule that breaks one.
"""
# ruff: noqa: S603, T201 - a script that runs two programs by their full paths, and prints

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
DEPTH = 10_000
MEGABYTES = 3000


@dataclass(frozen=True)
class Run:
    """One search through all schedules of a model.

    Attributes:
        model: The file, without its ending.
        name: What is looked at.
        defines: The bounds, and what is left out.
        fails: Whether an assertion must fail: in a mutant, and where the end is shown to be reached.
    """

    model: str
    name: str
    defines: str
    fails: bool = False

    @property
    def label(self) -> str:
        """How it is called on the command line."""
        return f"{self.model} {self.name}"


def mutants(model: str, bounds: str, *names: str) -> list[Run]:
    """Return the runs that leave out one mechanism each, in the smallest bounds in which it is missed."""
    return [Run(model, name, f"{bounds} -D{name}", fails=True) for name in names]


RUNS = [
    Run("chat", "writers", "-DW=3"),
    Run("chat", "lives", "-DW=4 -DM=1 -DOPS=13"),
    Run("chat", "repair", "-DW=2 -DREPAIRS=1"),
    Run("chat", "flip", "-DW=2 -DREADS=1"),
    Run("chat", "backfill", "-DW=2 -DRUNS=2 -DM=1"),
    Run("chat", "backfill and repair", "-DW=2 -DRUNS=1 -DREPAIRS=1 -DM=1"),
    Run("chat", "witness of writers", "-DW=3 -DWITNESS", fails=True),
    Run("chat", "witness of a backfill", "-DW=2 -DRUNS=1 -DREPAIRS=1 -DM=1 -DWITNESS", fails=True),
    *mutants("chat", "-DW=2", "MARK_AFTER_WRITE", "CLEAR_BEFORE_PUT", "NO_COMPARISON", "NO_PARITY", "NO_LOGICAL_CLOCK"),
    *mutants("chat", "-DW=2", "NO_TOMBSTONE", "NO_CLEARED"),
    *mutants("chat", "-DW=3", "NO_BORN"),
    *mutants("chat", "-DW=2 -DREPAIRS=1", "CLEAR_UNSEEN", "ONE_WAY_REPAIR"),
    *mutants("chat", "-DW=2 -DREADS=1", "NO_MERGE_ON_FLIP"),
    *mutants("chat", "-DW=2 -DRUNS=2 -DM=1", "OPEN_AFTER_READ", "CHECKPOINT_BEFORE_DATA", "END_BEFORE_DATA"),
    *mutants("chat", "-DW=2 -DRUNS=1 -DM=1", "SKEW_LONGER_THAN_MIGRATION"),
    Run("documents", "writers", "-DW=2"),
    Run("documents", "repair", "-DW=2 -DREPAIRS=1 -DAHEAD=0"),
    Run("documents", "two repairs", "-DW=1 -DREPAIRS=2 -DAHEAD=0"),
    Run("documents", "backfill", "-DW=2 -DRUNS=1 -DAHEAD=0"),
    Run("documents", "witness of writers", "-DW=2 -DWITNESS", fails=True),
    *mutants("documents", "-DW=2", "NO_COMPARISON", "NO_LOOK", "NO_EXCLUSION", "SAME_MICROSECOND"),
    *mutants("documents", "-DW=3", "ONE_TOMBSTONE"),
    *mutants("documents", "-DW=2 -DREPAIRS=1 -DAHEAD=0", "NO_ANNOUNCEMENT", "NO_LEASE", "LEASE_AT_THE_END"),
    *mutants("documents", "-DW=2 -DREPAIRS=1 -DAHEAD=0", "ONE_JOURNAL"),
]


def build(run: Run, folder: Path) -> Path:
    """Make the program that searches."""
    shutil.copy(HERE / f"{run.model}.pml", folder)
    subprocess.run(
        [_tool("spin"), *run.defines.split(), "-a", f"{run.model}.pml"], cwd=folder, check=True, capture_output=True
    )
    pan = folder / "pan"
    # A failure is found so soon that compiling takes longer; -O2 compiles longer than it saves.
    flags = ["-O0" if run.fails else "-O1", "-w", "-DSAFETY", "-DCOLLAPSE", f"-DMEMLIM={MEGABYTES}"]
    subprocess.run([_tool("gcc"), *flags, "-o", pan, "pan.c"], cwd=folder, check=True)
    return pan


def search(run: Run, folder: Path) -> str:
    """Search, and return what the search has to say."""
    # -E: a process that waits for ever is one that crashed, and no error.
    command = [build(run, folder), "-E", f"-m{DEPTH}"]
    return subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True).stdout


def verdict(run: Run, output: str) -> str | None:
    """Return what is wrong with the outcome of a search; None when it is as it must be."""
    found = re.search(r"errors: (\d+)", output)
    if found is None:
        return "the search ended before its time"
    if run.fails:
        return None if "assertion violated" in output else "NOT CAUGHT"
    if found[1] != "0":
        return "FAILS"
    if re.search(r"max search depth too small|Search not completed|out of memory|hash-?table", output):
        return "NOT EXHAUSTIVE"
    return None


def check(run: Run) -> tuple[str, str | None]:
    """Search; return a line about the outcome and, when it is not as it must be, all that the search had to say."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        output = search(run, Path(folder))
    wrong = verdict(run, output)
    states = re.search(r"(\d+) states, stored", output)
    said = wrong or ("fails, as it must" if run.fails else "holds")
    seconds = time.monotonic() - begun
    line = f"{run.label:34} {said:18} {int(states[1]) if states else 0:>12,} states {seconds:6.1f} s"
    return line, output if wrong else None


def trace(run: Run) -> None:
    """Print the schedule that breaks a run."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        search(run, folder)
        command = [_tool("spin"), *run.defines.split(), "-T", "-t", f"{run.model}.pml"]
        print(subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True).stdout)


def _tool(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        sys.exit(f"{name} is missing: the models are checked with Spin, which needs gcc (apt-get install spin gcc)")
    return path


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prefix", nargs="?", default="", help="only the runs whose names begin so")
    parser.add_argument("--trace", metavar="NAME", help="print the schedule that breaks this run")
    chosen = parser.parse_args()
    for name in ("spin", "gcc"):
        _tool(name)
    if chosen.trace:
        for run in (run for run in RUNS if run.label == chosen.trace):
            trace(run)
        return
    runs = [run for run in RUNS if run.label.startswith(chosen.prefix)]
    failed = not runs
    with ThreadPoolExecutor(max_workers=2) as pool:  # each search takes up to 600 MB
        for line, output in pool.map(check, runs):
            print(line, flush=True)
            if output:
                print(output, file=sys.stderr)
            failed = failed or output is not None
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
