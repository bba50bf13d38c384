"""Putting commands into Redis' protocol: in C, as the client library does it for its blocking connections only.

A script's call has hundreds of arguments, and a migration makes little else than such calls.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import hiredis
from redis.exceptions import DataError


@cache
def packing_in_c(connection: Any) -> Any:
    """Return a class of connections like `connection`, one of redis.asyncio's, which packs its commands in C."""

    class Packing(connection):  # type: ignore[misc] # the base is known at run time only
        """As its base; the bytes are the same."""

        def pack_command(self, *args: Any) -> list[bytes]:
            command = args[0]
            if isinstance(command, str) and " " in command:
                # As the client library: a command of two words is two arguments to the server.
                args = (*command.split(), *args[1:])
            try:
                return [hiredis.pack_command(args)]
            except TypeError as error:
                raise DataError(f"not an argument of a Redis command: {error}") from error

    return Packing
