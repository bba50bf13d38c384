"""What all local servers have in common: start until healthy, stop, kill, come back on the same port."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from signal import SIGTERM, Signals
from typing import ClassVar

from chatstore.errors import ConfigurationError, UnavailableError
from chatstore.local import ports, process
from chatstore.local.process import ProcessId
from chatstore.local.state import StateFile

_ATTEMPTS = 5
_PORT_SECONDS = 5.0
_POLL_SECONDS = 0.03


class Server(ABC):
    """One server of a local stack.

    It holds nothing itself: its port and process are in the stack's state, so any process can stop it and start it.

    Attributes:
        name: What it is called in the state, and its folder and its log file too.
        folder: Where its data lies.
        log: Where its output goes.
    """

    name: ClassVar[str]
    _ask: ClassVar[Signals] = SIGTERM
    _grace_seconds: ClassVar[float] = 10.0
    _start_seconds: ClassVar[float] = 60.0
    _account: str | None = None

    def __init__(self, state: StateFile) -> None:
        self._state = state
        self.folder = state.folder / self.name
        self.log = state.folder / "logs" / f"{self.name}.log"
        self.abandoned = threading.Event()  # set when nobody waits for a start any more

    @property
    def port(self) -> int:
        """The loopback port that it listens on.

        Raises:
            ConfigurationError: It was never started.
        """
        try:
            return self._state.read().ports[self.name]
        except KeyError:
            raise ConfigurationError(f"the local {self.name} server was never started") from None

    @property
    def process(self) -> ProcessId | None:
        """Its process; None when it is stopped."""
        return self._state.read().servers.get(self.name)

    @property
    def is_alive(self) -> bool:
        """Whether its process runs."""
        return process.is_alive(self.process)

    def start(self, *, may_move: bool = False) -> None:
        """Start it and return when it answers. One that runs already is left alone.

        Args:
            may_move: Take another port if somebody else listens on its own; else wait a moment for it to become free.

        Raises:
            UnavailableError: It did not come up; the message has the end of its log.
            ConfigurationError: What it needs is not installed.
        """
        if self.is_alive:
            return
        self._prepare()
        self._end_leftovers()
        for _ in range(_ATTEMPTS):
            self._settle_port(may_move=may_move)
            if self._launch():
                return
            # It ended by itself. If somebody else has its port, that is why: two programs asked for one port.
            if ports.is_free(self.port):
                break
        raise UnavailableError(f"the local {self.name} server ended while it started. {self._evidence()}")

    def stop(self) -> None:
        """Ask it to end, and kill it if it does not. One that is stopped already is fine."""
        self._end(self._ask)

    def kill(self) -> None:
        """End it as a crash would, at once and without its doing."""
        self._end(None)

    def restart(self) -> None:
        """Stop it and start it again on the same port.

        Raises:
            UnavailableError: It did not come up again; the message has the end of its log.
        """
        self.stop()
        self.start()

    @abstractmethod
    def _command(self) -> list[str]:
        """Return the program and its arguments."""

    def _environment(self) -> Mapping[str, str]:
        """Return what its environment needs."""
        return {}

    def _prepare(self) -> None:
        """Make what must be there before it starts."""
        self.folder.mkdir(mode=0o700, exist_ok=True)

    def _end_leftovers(self) -> None:
        """End what an earlier crash left at work in its folder."""
        process.kill_leftovers(Path(self._command()[0]), self.folder)

    @abstractmethod
    def _probe(self) -> None:
        """Ask it something; raise anything at all unless it answers well."""

    def _settle_port(self, *, may_move: bool) -> None:
        """See to it that its port is free, as far as that can be known before it is bound."""
        deadline = time.monotonic() + _PORT_SECONDS
        while not ports.is_free(self.port):
            if may_move:
                self._state.set_port(self.name, ports.free_port(avoid=self._state.read().ports.values()))
            elif time.monotonic() > deadline:
                raise UnavailableError(f"port {self.port} of the local {self.name} server is taken by another program")
            else:
                time.sleep(_POLL_SECONDS)

    def _end(self, ask: Signals | None) -> None:
        running = self.process
        if running is not None:
            process.stop(running, ask=ask, grace=self._grace_seconds)
            self._state.set_process(self.name, None)

    def _launch(self) -> bool:
        """Start the process and wait; return False if it ended."""
        self._check_wanted()
        try:
            started = process.spawn(
                self._command(),
                folder=self.folder,
                log=self.log,
                environment=self._environment(),
                account=self._account,
            )
        except OSError as error:
            raise UnavailableError(f"the local {self.name} server cannot be started: {error}") from error
        # Noted before anything else, so that whoever comes after a crash of ours finds it.
        self._state.set_process(self.name, started)
        try:
            return self._wait_until_healthy(started)
        except BaseException:
            self.stop()
            raise

    def _wait_until_healthy(self, started: ProcessId) -> bool:
        deadline = time.monotonic() + self._start_seconds
        problem: Exception | None = None
        while process.is_alive(started):
            # Whether it is really ours that answers: somebody else's server may be quicker on the same port.
            if process.listens(started, self.port):
                try:
                    self._probe()
                except Exception as error:  # noqa: BLE001 - whatever a client library raises means "not yet"
                    problem = error
                else:
                    return True
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"the local {self.name} server did not answer within {self._start_seconds:.0f} s "
                    f"({problem!r}). {self._evidence()}"
                )
            self.abandoned.wait(_POLL_SECONDS)
            self._check_wanted()
        self._state.set_process(self.name, None)
        return False

    def _check_wanted(self) -> None:
        if self.abandoned.is_set():
            raise UnavailableError(f"the start of the local {self.name} server was given up")

    def _evidence(self) -> str:
        tail = process.log_tail(self.log, secrets=self._state.read().keys.all())
        return f"Its log, {self.log}, ends with:\n{tail}"
