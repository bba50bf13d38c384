"""Loopback ports that a server can be given."""

from __future__ import annotations

import random
import socket
from collections.abc import Container

HOST = "127.0.0.1"

# Below the range that the operating system takes for outgoing connections (from 32768 on Linux, 49152 on macOS).
# Inside it, a client that keeps connecting to a server which is down can be given that very port as its own, is then
# connected to itself, and the server cannot come back.
_FIRST, _LAST = 20_000, 32_000


def free_port(*, avoid: Container[int] = ()) -> int:
    """Return a loopback port that nobody listens on at this moment.

    It may be taken a moment later, so whoever binds it must be ready to ask for another one.

    Args:
        avoid: Ports that are promised to others.

    Raises:
        OSError: No free port was found.
    """
    for port in random.sample(range(_FIRST, _LAST), 200):
        if port not in avoid and is_free(port):
            return port
    raise OSError(f"no free port between {_FIRST} and {_LAST} on {HOST}")


def is_free(port: int) -> bool:
    """Return whether a server could listen on a loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: a port whose last connections are still fading away is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen()
        except OSError:
            return False
    return True
