"""What the quarantine holds of a user: raw records, as far as they say whose they are."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from urllib.parse import unquote

from chatstore.interfaces import Progress
from chatstore.models import Quarantined

_BATCH = 100
_FIELD = re.compile(r'"([^"\\]{1,100})"\s*:\s*"((?:[^"\\]|\\.)*)"')
_OWNER, _SESSION = re.compile("user|owner", re.IGNORECASE), re.compile("session|thread|conversation", re.IGNORECASE)
_BETWEEN = re.compile(r"[:#/]")


class Traces:
    """The entries of a quarantine that are about one user.

    Args:
        progress: Whose quarantine.
        users: The user's ids: the one that the app uses now, and the one in Redis.
    """

    def __init__(self, progress: Progress, users: Collection[str]) -> None:
        self._progress = progress
        self._users = frozenset(users)

    async def remove(self, ids: Collection[str]) -> int:
        """Take out the entries that name the user, or one of some records of theirs; return how many.

        Raises:
            UnavailableError: The server did not answer; any number of them were taken out.
        """
        known = frozenset(ids)
        entries = self._progress.quarantined()
        mine = list(dict.fromkeys([entry.key async for entry in entries if is_about(entry, self._users, known)]))
        for start in range(0, len(mine), _BATCH):
            await self._progress.release_quarantined(mine[start : start + _BATCH])
        return len(mine)


def is_about(entry: Quarantined, users: frozenset[str], ids: frozenset[str]) -> bool:
    """Return whether an entry of the quarantine says that it is of one of some users, or of some of their records.

    By its key: chatstore's own name of a record, or a Redis key in which the record's id stands between separators. By
    what it holds: a field with `user` or `owner` in its name, or one that names the session.
    """
    if entry.key.startswith("document/"):
        return unquote(entry.key.split("/")[1]) in users
    if entry.key.startswith("session/"):
        return unquote(entry.key.split("/")[1]) in ids
    return any(part in ids for part in _parts(entry.key)) or any(
        (value in users and _OWNER.search(name)) or (value in ids and _SESSION.search(name))
        for name, value in _fields(entry.raw)
    )


def _parts(key: str) -> Iterator[str]:
    """Yield what stands between any two separators of a key."""
    starts = [0, *(found.end() for found in _BETWEEN.finditer(key))]
    ends = [*(found.start() for found in _BETWEEN.finditer(key)), len(key)]
    for start in starts[:8]:
        yield from (key[start:end] for end in ends[:8] if end > start)


def _fields(raw: bytes) -> Iterator[tuple[str, str]]:
    """Yield fields with their values: of a hash, a line each, or of JSON."""
    text = raw.decode("utf-8", "backslashreplace")
    lines = text.split("\n")
    yield from zip(lines[::2], lines[1::2], strict=False)
    for found in _FIELD.finditer(text):
        yield found[1], found[2]
