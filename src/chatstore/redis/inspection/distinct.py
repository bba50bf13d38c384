"""How many different things there are among many, in bounded memory."""

from __future__ import annotations

import hashlib

from chatstore.redis.inspection.estimating import rounded
from chatstore.redis.inspection.report import Count

_KEPT = 1_000_000
_WHOLE = 2**64


class Distinct:
    """Counts different texts; exactly up to a million, and to about 0.2 % beyond.

    Beyond, it goes on with those alone whose digests are in the lower half, then quarter, …: a fair share of all.
    """

    def __init__(self) -> None:
        self._times: dict[int, int] = {}
        self._below = _WHOLE

    def add(self, value: bytes) -> bool:
        """Count a text; return whether it is certainly new."""
        digest = int.from_bytes(hashlib.blake2b(value, digest_size=8).digest(), "big")
        if digest >= self._below:
            return False
        times = self._times.get(digest, 0)
        self._times[digest] = times + 1
        if len(self._times) > _KEPT:
            self._below //= 2
            self._times = {one: count for one, count in self._times.items() if one < self._below}
        return not times

    @property
    def met(self) -> Count:
        """How many were met."""
        count = len(self._times) * (_WHOLE // self._below)
        return Count(count) if self._below == _WHOLE else Count(rounded(count), exact=False)

    def altogether(self, *, complete: bool) -> Count:
        """Return how many there are, of which a sample was met; or all were.

        Those not met are estimated from how many were met once and twice (Chao's estimator, a lower bound).
        """
        if complete:
            return self.met
        once = sum(times == 1 for times in self._times.values())
        twice = sum(times == 2 for times in self._times.values())  # noqa: PLR2004
        hidden = once * (once - 1) / (2 * (twice + 1))
        return Count(rounded((len(self._times) + hidden) * (_WHOLE // self._below)), exact=False)
