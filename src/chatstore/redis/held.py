"""Whose a record is, of a reply of the scripts that read it; also where it cannot be read."""

from __future__ import annotations

from collections.abc import Iterable

from chatstore.redis.scripts import Reply


def session_owner(reply: Reply) -> bytes | None:
    """Return whose session was read, by the id in Redis; None when there is none, or when nothing says whose it is."""
    if reply[0] == b"found":
        user, *_, updated = reply[1][:7]
        return bytes(user) if updated else None
    return _owner_of_problem(reply)


def document_owner(reply: Reply) -> bytes | None:
    """Return whose document was read, as `session_owner` does."""
    if reply[0] == b"found":
        return bytes(reply[1]) if reply[5] else None
    return _owner_of_problem(reply)


def texts_of(names: Iterable[bytes]) -> list[str]:
    """Return those ids that are text: no call could name another one."""
    return [text for name in names if (text := name.decode("utf-8", "replace")).encode() == name]


def _owner_of_problem(reply: Reply) -> bytes | None:
    return bytes(reply[4]) if reply[0] == b"problem" and len(reply) > 4 and reply[4] is not None else None  # noqa: PLR2004
