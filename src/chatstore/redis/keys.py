"""The names of our own keys. All begin with `chatstore:`, so that an app can tell them from its own.

On a Redis Cluster the keys of one script must lie in one slot. So each name of a record's ledger has a tag that puts it
into the slot of the record's own key, and each name of a journal has the journal's kind for its tag. They have these
names on a single server, too: whoever moves to a cluster takes them along.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from chatstore.models import Kind
from chatstore.redis.slots import slot_of, tag_of


def space_of(layout: str, prefix: bytes, default_prefix: bytes) -> str:
    """Return what tells a layout's own keys from those of others, and from its own with another prefix."""
    if prefix == default_prefix:
        return layout
    return f"{layout}.{hashlib.sha256(prefix).hexdigest()[:8]}"


OUR_OWN = b"chatstore:"
"""What the names of all our keys begin with."""


class LedgerKeys:
    """The ledger's keys of one layout: what we know of a record beside what the layout holds.

    Args:
        kind: Chat or documents.
        layout: What tells its keys from those of other layouts in the same database; see `space_of`.
        place: Returns the layout's own key of a record, by its id.
    """

    def __init__(self, kind: Kind, layout: str, place: Callable[[bytes], bytes]) -> None:
        self._root = f"chatstore:{kind}:{layout}:".encode()
        self._place = place

    def of(self, part: str, record_id: bytes) -> bytes:
        """Return the key of one part of a record's ledger, which lies in the slot of the record's own key."""
        return b"%s%s}%s" % (self.head(part), tag_of(slot_of(self._place(record_id))), record_id)

    def head(self, part: str) -> bytes:
        """Return what all keys of one part begin with."""
        return b"%s%s:{" % (self._root, part.encode())

    def record_of(self, part: str, key: bytes) -> bytes:
        """Return the id of the record whose ledger's part this key is."""
        return key[len(self.head(part)) :].partition(b"}")[2]

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
        self._root = f"chatstore:{{{kind}}}:".encode()
        self.marks = self._root + b"marks"
        self.bodies = self._root + b"marks:bodies"
        self.migration = self._root + b"migration"
        self.lease = self._root + b"lease"
        self.limits = self._root + b"limits"
        self.checkpoints = self._root + b"checkpoints"
        self.quarantine = self._root + b"quarantine"

    def report(self, run: str) -> bytes:
        """Return the key of what a run tells of itself; it has a key to itself because it runs out."""
        return b"%sreport:%s" % (self._root, run.encode())

    def of_user(self, user_id: str) -> bytes:
        """Return the key of a user's marks: a sorted set of the marked keys, each with its mark's token."""
        return b"%smarks:of:%s" % (self._root, user_id.encode())
