"""The names of our own keys. All begin with `chatstore:`, so that an app can tell them from its own."""

from __future__ import annotations

from chatstore.models import Kind


class LedgerKeys:
    """The ledger's keys of one layout: what we know of a record beside what the layout holds.

    Args:
        kind: Chat or documents.
        layout: The layout's name: two layouts in one database do not meet.
    """

    def __init__(self, kind: Kind, layout: str) -> None:
        self._root = f"chatstore:{kind}:{layout}:".encode()

    def of(self, part: str, record_id: bytes) -> bytes:
        """Return the key of one part of a record's ledger. The braces put all of them into one slot of a cluster."""
        return b"%s%s:{%s}" % (self._root, part.encode(), record_id)

    def index(self, user_id: bytes) -> bytes:
        """Return the key of a user's index: the user's record ids in a sorted set, by when they were last written."""
        return b"%sindex:%s" % (self._root, user_id)

    @property
    def indexed(self) -> bytes:
        """The key that says when the indexes were last built from all keys."""
        return self._root + b"indexed"

    @property
    def building(self) -> bytes:
        """The key that is there while somebody builds the indexes anew."""
        return self._root + b"building"


class JournalKeys:
    """The journal's and the migration's keys of one kind.

    Args:
        kind: Chat or documents.
    """

    def __init__(self, kind: Kind) -> None:
        self._root = f"chatstore:{kind}:".encode()
        self.marks = self._root + b"marks"
        self.bodies = self._root + b"marks:bodies"
        self.migration = self._root + b"migration"
        self.lease = self._root + b"lease"
        self.checkpoints = self._root + b"checkpoints"
        self.quarantine = self._root + b"quarantine"

    def of_user(self, user_id: str) -> bytes:
        """Return the key of a user's marks: a sorted set of the marked keys, each with its mark's token."""
        return b"%smarks:of:%s" % (self._root, user_id.encode())
