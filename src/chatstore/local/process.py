"""Processes of ours: started as groups of their own, known again by another process, stopped for certain."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from chatstore.local.extra import installed

# Two starts of one pid lie much further apart than this; the clock that start times are counted from may be adjusted.
_SAME_START_SECONDS = 2.0

_logger = logging.getLogger(__name__)
_KILL_SECONDS = 10.0
_POLL_SECONDS = 0.01

# Our own children, kept so that a dead one is reaped and does not stay behind as a zombie.
_children: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True, slots=True)
class ProcessId:
    """One process among all that ever had its pid.

    Attributes:
        pid: Its process id, which the operating system gives to another process one day.
        started: When it started, in seconds since 1970.
    """

    pid: int
    started: float


@atexit.register
def _leave_children() -> None:
    # They may be meant to outlive us. Without this, subprocess would warn of every one of them.
    for child in _children.values():
        child.returncode = child.returncode or 0


def current_process() -> ProcessId:
    """Return the identity of the process that asks."""
    return _identity(os.getpid())


def spawn(
    command: Sequence[str],
    *,
    folder: Path,
    log: Path,
    environment: Mapping[str, str],
    account: str | None = None,
) -> ProcessId:
    """Start a program in a session and process group of its own.

    It gets no input, and a signal that a terminal sends to us does not reach it.

    Args:
        command: The program and its arguments.
        folder: Its working directory.
        log: The file that its output is added to. Nobody but its owner may read it.
        environment: Variables to set beside those of this process.
        account: The operating-system account that it runs as; None for our own.

    Raises:
        OSError: It could not be started.
    """
    # Supabase's server tells its keys when it starts.
    with open(log, "ab", opener=partial(os.open, mode=0o600)) as output:
        os.fchmod(output.fileno(), 0o600)  # one of an older release
        child = subprocess.Popen(  # noqa: S603 - the servers' own programs
            command,
            cwd=folder,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **run_as(account),
        )
    _children[child.pid] = child
    return _identity(child.pid)


def run_as(account: str | None) -> dict[str, Any]:
    """Return the arguments with which `subprocess` runs a program as another account; none for None."""
    if account is None:
        return {}
    entry = pwd.getpwnam(account)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def is_alive(process: ProcessId | None) -> bool:
    """Return whether a process still runs; another one with the same pid does not count."""
    return process is not None and _find(process) is not None


def listens(process: ProcessId, port: int) -> bool:
    """Return whether it is this process that listens on a port, as far as the operating system lets us see."""
    psutil = installed("psutil")
    found = _find(process)
    if found is None:
        return False
    try:
        connections = found.net_connections(kind="tcp")
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
    return any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in connections)


def stop(process: ProcessId | None, *, ask: signal.Signals | None, grace: float) -> None:
    """Stop a process with all that it started; return when nothing of it is left.

    Args:
        process: What to stop. None, and one that has ended already, are fine.
        ask: The signal that asks it to end. None kills it at once.
        grace: How many seconds it may take before it is killed.
    """
    leader = _find(process) if process is not None else None
    if leader is None:
        return
    family = _family(leader)
    if ask is not None:
        _signal(leader, ask)
        family = _wait_for_end(family, grace)
        if family:
            _logger.info("%s (pid %d) did not end within %.0f s and is killed", leader.name(), leader.pid, grace)
    # psutil looks at the start times again, so it never kills a newcomer with an old pid.
    for member in family:
        _signal(member, signal.SIGKILL)
    _wait_for_end(family, _KILL_SECONDS)


def kill_leftovers(program: Path, folder: Path) -> None:
    """Kill what runs a program in a server's own folder, without a terminal, and is noted nowhere.

    A crash can leave such processes: one that was started in the very moment of the crash, or the children of a server
    that was killed alone.
    """
    psutil = installed("psutil")
    left = []
    for candidate in psutil.process_iter():
        try:
            if Path(candidate.exe()) == program.resolve() and candidate.terminal() is None:
                place = Path(candidate.cwd())
                if place == folder or folder in place.parents:
                    candidate.kill()
                    left.append(candidate)
        except (psutil.Error, OSError):
            continue
    _wait_for_end(left, _KILL_SECONDS)


def log_tail(log: Path, *, secrets: Sequence[str] = (), lines: int = 20) -> str:
    """Return the last lines of a log file, with every given secret blotted out."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "(no log)"
    for secret in secrets:
        text = text.replace(secret, "***")
    return "\n".join(text.rstrip().splitlines()[-lines:]) or "(an empty log)"


def _identity(pid: int) -> ProcessId:
    return ProcessId(pid, installed("psutil").Process(pid).create_time())


def _find(process: ProcessId) -> Any | None:
    """Return psutil's view of a process, or None if it has ended."""
    psutil = installed("psutil")
    try:
        found = psutil.Process(process.pid)
        same = abs(found.create_time() - process.started) < _SAME_START_SECONDS
    except psutil.NoSuchProcess:
        return None
    return found if same and not _has_ended(found) else None


def _has_ended(process: Any) -> bool:
    """Return whether nothing of a process runs any more. Our own child is reaped by that."""
    child = _children.get(process.pid)
    if child is not None:
        if child.poll() is None:
            return False
        del _children[process.pid]
        return True
    psutil = installed("psutil")
    try:
        if not process.is_running():
            return True
        # Somebody else must reap it. Until its last thread is gone, a zombie still holds its port.
        return bool(process.status() == psutil.STATUS_ZOMBIE) and process.num_threads() <= 1
    except psutil.NoSuchProcess:
        return True


def _family(leader: Any) -> list[Any]:
    """Return a process, its descendants, and what else is in its group."""
    psutil = installed("psutil")
    family = {leader.pid: leader}
    with contextlib.suppress(psutil.NoSuchProcess):
        family.update((child.pid, child) for child in leader.children(recursive=True))
    for member in psutil.process_iter():
        try:
            if os.getpgid(member.pid) == leader.pid:
                family.setdefault(member.pid, member)
        except OSError:
            continue
    return list(family.values())


def _wait_for_end(processes: list[Any], seconds: float) -> list[Any]:
    """Wait until processes have ended; return those that have not."""
    deadline = time.monotonic() + seconds
    while left := [process for process in processes if not _has_ended(process)]:
        if time.monotonic() > deadline:
            break
        time.sleep(_POLL_SECONDS)
    return left


def _signal(process: Any, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except installed("psutil").NoSuchProcess:
        return
