"""Whose write was it: telling other programs' writes from our own by the order in which the server tells of them."""

from __future__ import annotations

_KEPT = 10_000


class Attribution:
    """Collects the records that other programs wrote.

    Each of our scripts writes the record first and its ledger last, in one step, so the server tells of both with
    nothing of anybody else in between. A record's event that its ledger's does not follow at once is another program's.
    One of another program that comes directly before our own write of the same record is taken for our own.

    Attributes:
        overflowed: How many records were forgotten, because more than 10,000 waited to be taken.
    """

    def __init__(self) -> None:
        self.overflowed = 0
        self._last: bytes | None = None
        self._foreign: dict[bytes, None] = {}

    @property
    def is_open(self) -> bool:
        """Whether the last event may yet turn out to be another program's, or something waits to be taken."""
        return self._last is not None or bool(self._foreign)

    def record_written(self, record_id: bytes) -> None:
        """Note that somebody wrote a record."""
        if self._last != record_id:
            self.close()
            self._last = record_id

    def ledger_written(self, record_id: bytes) -> None:
        """Note that we wrote a record's ledger."""
        if self._last != record_id:
            self.close()
        self._last = None

    def close(self) -> None:
        """Note that nothing follows what came last in the same step."""
        if self._last is not None:
            self._foreign[self._last] = None
            self._last = None
            if len(self._foreign) > _KEPT:
                del self._foreign[next(iter(self._foreign))]
                self.overflowed += 1

    def foreign(self, limit: int) -> list[bytes]:
        """Return up to `limit` records that other programs wrote, those first that were written first."""
        return list(self._foreign)[:limit]

    def forget(self, record_ids: list[bytes]) -> None:
        """Forget records, because they are dealt with."""
        for record_id in record_ids:
            self._foreign.pop(record_id, None)
