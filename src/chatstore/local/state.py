"""What a data folder remembers of its stack, so that any process can find it, repair it or stop it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from chatstore.errors import ConfigurationError
from chatstore.local.keys import Keys
from chatstore.local.lock import exclusive
from chatstore.local.process import ProcessId

_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class StackState:
    """The state of one stack.

    Attributes:
        keys: Its keys; they outlive a stop.
        ports: Each server's port; they are asked for again at the next start, so that settings stay good.
        servers: Each server's process, while it is meant to run.
        owner: The process that the stack must not outlive. None when it is stopped, or meant to outlive everybody.
        running: Whether it was started and not stopped since.
    """

    keys: Keys = field(default_factory=Keys.new)
    ports: dict[str, int] = field(default_factory=dict)
    servers: dict[str, ProcessId] = field(default_factory=dict)
    owner: ProcessId | None = None
    running: bool = False


class StateFile:
    """The state of the stack in one data folder: read afresh each time, for other processes change it too."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / "stack.json"
        self._lock = folder / "stack.json.lock"

    def read(self) -> StackState:
        """Return the state as it is now; that of a new stack, which is not kept, if there is none.

        Raises:
            ConfigurationError: The file holds something else.
        """
        try:
            return _decode(json.loads(self._path.read_bytes()))
        except FileNotFoundError:
            return StackState()
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ConfigurationError(
                f"{self._path} is not a stack's state of this version of chatstore: start with another data folder"
            ) from error

    def update(self, change: Callable[[StackState], StackState]) -> StackState:
        """Change the state in one step, which no other process or thread comes between, and return what it is now.

        Raises:
            ConfigurationError: The file holds something else.
        """
        with exclusive(self._lock):
            state = change(self.read())
            # Written beside and renamed: a crash leaves the old state or the new one. It holds keys, so nobody else
            # may read it.
            draft = self._path.with_suffix(".new")
            draft.unlink(missing_ok=True)
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump({"format": _FORMAT, **asdict(state)}, file, indent=2)
            draft.replace(self._path)
        return state

    def set_port(self, name: str, port: int) -> None:
        """Remember a server's port."""
        self.update(lambda state: replace(state, ports={**state.ports, name: port}))

    def set_process(self, name: str, process: ProcessId | None) -> None:
        """Remember a server's process; None when it is stopped."""
        self.update(lambda state: replace(state, servers=_with(state.servers, name, process)))


def _with(servers: dict[str, ProcessId], name: str, process: ProcessId | None) -> dict[str, ProcessId]:
    others = {key: value for key, value in servers.items() if key != name}
    return others if process is None else {**others, name: process}


def _decode(raw: dict[str, Any]) -> StackState:
    if raw["format"] != _FORMAT:
        raise ValueError(raw["format"])
    owner = raw["owner"]
    return StackState(
        keys=Keys(**raw["keys"]),
        ports={str(name): int(port) for name, port in raw["ports"].items()},
        servers={str(name): ProcessId(**process) for name, process in raw["servers"].items()},
        owner=ProcessId(**owner) if owner else None,
        running=bool(raw["running"]),
    )
