"""All local servers together, under one data folder."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from chatstore.errors import ConfigurationError, UnavailableError
from chatstore.local import ports
from chatstore.local.chroma import Chroma
from chatstore.local.lock import exclusive
from chatstore.local.node import NodeProgram
from chatstore.local.postgres import Postgres
from chatstore.local.process import current_process, is_alive
from chatstore.local.server import Server
from chatstore.local.settings import StackSettings
from chatstore.local.state import StackState, StateFile
from chatstore.local.supabase import SupabaseLite
from chatstore.local.valkey import Valkey

_logger = logging.getLogger(__name__)


class LocalStack:
    """Real servers without containers: Valkey, Postgres with Supabase's lightweight server, and Chroma.

    Everything lies under one data folder: the data, the logs, the keys, and a note of what runs. The data, the keys and
    (where they are still free) the ports stay the same over stops and starts. Objects for the same folder, in this or
    in other processes, mean the same stack. Used as a context manager, it runs for the length of the block.

    Attributes:
        redis: The Redis-compatible server.
        postgres: The database.
        supabase: Supabase's API on that database.
        chroma: The Chroma server.
        found: Whether the last `start` found the stack running.
    """

    def __init__(self, data_dir: Path | str) -> None:
        """Name the data folder; nothing is made or started yet.

        Args:
            data_dir: The folder. It is made at the first start.
        """
        self.data_dir = Path(data_dir).expanduser().resolve()
        self._state = StateFile(self.data_dir)
        self.redis = Valkey(self._state)
        self.postgres = Postgres(self._state)
        self.supabase = SupabaseLite(self._state, self.postgres)
        self.chroma = Chroma(self._state)
        self.found = False

    @property
    def servers(self) -> tuple[Server, ...]:
        """All servers, each after those that it needs."""
        return (self.redis, self.postgres, self.supabase, self.chroma)

    @property
    def is_running(self) -> bool:
        """Whether it was started and not stopped since."""
        return self.data_dir.exists() and self._state.read().running

    @property
    def is_ours(self) -> bool:
        """Whether it is this process that the running stack must not outlive."""
        return self.is_running and self._state.read().owner == current_process()

    @property
    def settings(self) -> StackSettings:
        """What an application needs to reach the servers.

        Raises:
            ConfigurationError: The stack was never started.
        """
        keys = self._state.read().keys
        return StackSettings(
            redis_url=self.redis.url,
            supabase_url=self.supabase.url,
            supabase_publishable_key=keys.publishable,
            supabase_secret_key=keys.secret,
            supabase_db_url=self.postgres.url,
            supabase_jwt_secret=keys.jwt_secret,
            chroma_url=self.chroma.url,
        )

    def start(
        self,
        schema_sql: str | None = None,
        *,
        detached: bool = False,
        progress: Callable[[str], None] = _logger.info,
    ) -> StackSettings:
        """Start all servers and return when every one of them answers.

        A stack that runs on this folder already is found and left as it is. What is left of one that died is cleaned up
        first. If one server does not come up, none stays.

        Args:
            schema_sql: An SQL text that Postgres runs before Supabase's server starts, which reads the schema only
                then. It is run at every start, so running it again must do no harm; a stack that is found does not run
                it.
            detached: Whether the stack may outlive this process. If not, the next start takes it for dead when this
                process has ended.
            progress: Called with a line of text whenever something has been done.

        Raises:
            UnavailableError: A server did not come up, or one of a found stack is down. The message names its log.
            ConfigurationError: Something that the servers need is not installed, or Postgres refused the SQL text.
        """
        self._make_folders()
        with exclusive(self.data_dir / "start.lock"):
            self.found = self._is_held()
            if not self.found:
                self._stop_all()
                self._claim(detached=detached)
                try:
                    self._start_all(schema_sql, progress)
                except BaseException:
                    self._stop_all()
                    raise
        return self.settings

    def stop(self) -> bool:
        """Stop all servers; the data stays. Return False if the stack was not running."""
        if not self.data_dir.exists():
            return False
        with exclusive(self.data_dir / "start.lock"):
            was_running = self._state.read().running
            self._stop_all()
        return was_running

    def reload_api(self) -> None:
        """Let Supabase's server read the database's schema again, by a quick restart: call it after every DDL.

        Raises:
            UnavailableError: It did not come up again; the message has the end of its log.
        """
        self.supabase.restart()

    def dead(self) -> list[Server]:
        """Return the servers that do not run."""
        return [server for server in self.servers if not server.is_alive]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _make_folders(self) -> None:
        try:
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self.data_dir / "logs").mkdir(mode=0o700, exist_ok=True)
            # Keys lie in here: no repository should take them in by accident.
            (self.data_dir / ".gitignore").write_text("*\n", encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(f"{self.data_dir} cannot be used as the data folder: {error}") from error

    def _is_held(self) -> bool:
        """Return whether the stack runs and whoever started it still stands behind it."""
        state = self._state.read()
        if not state.running or (state.owner is not None and not is_alive(state.owner)):
            return False
        dead = self.dead()
        if not dead:
            return True
        if state.owner is None:
            return False
        names = ", ".join(f"{server.name} (log: {server.log})" for server in dead)
        raise UnavailableError(
            f"the stack in {self.data_dir} belongs to process {state.owner.pid}, which runs, "
            f"but these of its servers are down: {names}. Stop it with  chatstore down --data {self.data_dir}"
        )

    def _claim(self, *, detached: bool) -> None:
        owner = None if detached else current_process()

        def claim(state: StackState) -> StackState:
            taken = dict(state.ports)
            for server in self.servers:
                if server.name not in taken:
                    taken[server.name] = ports.free_port(avoid=taken.values())
            return replace(state, ports=taken, owner=owner, running=True)

        self._state.update(claim)

    def _start_all(self, schema_sql: str | None, progress: Callable[[str], None]) -> None:
        """Start what does not depend on anything side by side, and Supabase's server as soon as it can be."""

        def start(server: Server) -> None:
            server.start(may_move=True)
            progress(f"{server.name} answers on port {server.port}")

        def database() -> None:
            start(self.postgres)
            self.supabase.prepare_database()
            if schema_sql is not None:
                self.postgres.execute(schema_sql)

        def node() -> NodeProgram:
            return NodeProgram.installed(self.data_dir / "logs" / "npm.log", progress)

        for server in self.servers:
            server.abandoned.clear()
        with ThreadPoolExecutor(max_workers=4, thread_name_prefix="chatstore-local") as pool:
            try:
                others = [pool.submit(start, server) for server in (self.redis, self.chroma)]
                program, base = pool.submit(node), pool.submit(database)
                base.result()
                self.supabase.program = program.result()
                start(self.supabase)
                for other in others:
                    other.result()
            except BaseException:
                for server in self.servers:
                    server.abandoned.set()
                raise

    def _stop_all(self) -> None:
        """Stop every server, those first that need others."""
        # Noted first: whoever watches the servers must not take it for a crash.
        if self._state.read().running:
            self._state.update(lambda state: replace(state, owner=None, running=False))
        for server in reversed(self.servers):
            server.stop()
