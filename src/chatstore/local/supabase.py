"""Supabase's own lightweight server (`@supabase/lite`) on the stack's Postgres."""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping
from typing import ClassVar

import httpx

from chatstore.errors import ConfigurationError, UnavailableError
from chatstore.local.node import NodeProgram
from chatstore.local.ports import HOST
from chatstore.local.postgres import Postgres
from chatstore.local.server import Server
from chatstore.local.state import StateFile

_ROLE = "supabase_lite"
_NO_TABLE = "chatstore_no_such_table"

# Every value that differs from stack to stack comes by the environment; so do the secrets, which reach no file here.
_CONFIGURATION = """\
[api]
port = {port}

[db]
driver = "postgres"
url = "env(SUPABASE_DB_URL)"

[auth]
enabled = true
jwt_secret = "env(SUPABASE_JWT_SECRET)"
publishable_key = "env(SUPABASE_PUBLISHABLE_KEY)"
secret_key = "env(SUPABASE_SECRET_KEY)"
"""


class SupabaseLite(Server):
    """The REST and auth interfaces of Supabase. It reads the database's schema when it starts, and never again."""

    name: ClassVar[str] = "supabase"
    # It holds nothing that could be lost, and now and then it waits for something when it is asked to end.
    _grace_seconds: ClassVar[float] = 1.0

    def __init__(self, state: StateFile, postgres: Postgres) -> None:
        super().__init__(state)
        self._postgres = postgres
        self.program: NodeProgram | None = None

    @property
    def url(self) -> str:
        """Its URL."""
        return f"http://{HOST}:{self.port}"

    def prepare_database(self) -> None:
        """Give a plain Postgres what a hosted Supabase project has: roles, grants, and the functions in `auth`.

        Raises:
            UnavailableError: Postgres could not be reached.
        """
        roles = importlib.resources.files(__package__).joinpath("roles.sql").read_text(encoding="utf-8")
        # The password is of hexadecimal digits only.
        password = f"alter role {_ROLE} password '{self._state.read().keys.api_password}';"
        self._postgres.execute(f"{roles}\n{password}")

    def _prepare(self) -> None:
        super()._prepare()
        if self.program is None:
            self.program = NodeProgram.installed(self._state.folder / "logs" / "npm.log")

    def _command(self) -> list[str]:
        if self.program is None:
            raise ConfigurationError("the local Supabase server's node modules are not installed")
        # Here and not before, for the port may have changed since the last attempt.
        configuration = self.folder / "supabase" / "config.toml"
        configuration.parent.mkdir(exist_ok=True)
        configuration.write_text(_CONFIGURATION.format(port=self.port), encoding="utf-8")
        return [*self.program.command, "start", "--no-admin"]

    def _environment(self) -> Mapping[str, str]:
        keys = self._state.read().keys
        return {
            "LITE_TELEMETRY": "0",
            "NO_COLOR": "1",
            "SUPABASE_DB_URL": self._postgres.url_for(_ROLE, keys.api_password),
            "SUPABASE_JWT_SECRET": keys.jwt_secret,
            "SUPABASE_PUBLISHABLE_KEY": keys.publishable,
            "SUPABASE_SECRET_KEY": keys.secret,
        }

    def _probe(self) -> None:
        # It reads the schema at the first request for a table: let that be ours, at a time when Postgres is up. Read
        # while Postgres is down, the schema would be empty, and every table "not found".
        headers = {"apikey": self._state.read().keys.secret}
        answer = httpx.get(f"{self.url}/rest/v1/{_NO_TABLE}", headers=headers, timeout=5, trust_env=False)
        if answer.status_code != httpx.codes.NOT_FOUND:
            raise UnavailableError(f"it answered {answer.status_code}: {answer.text}")
