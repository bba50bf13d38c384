"""Owners by a template over the key: `message_store:{user}:*`."""

from __future__ import annotations

from collections.abc import Iterator

from chatstore.errors import ConfigurationError
from chatstore.models.ownership import Owners
from chatstore.models.values import MAX_ID_BYTES

_USER = "{user}"
_ANYTHING = "*"


class TemplateOwners(Owners):
    """Reads the user out of a record's key.

    `{user}` stands once, for the user's id; `*` is anything, nothing included; the rest stands for itself, and all of
    the key has to fit. Where a `*` follows, the id does not hold the text between the two: in `message_store:{user}:*`
    it ends at the first colon. Nor does it where a `*` leads: in `*:{user}` it begins behind the last colon. A key that
    can be read in two ways all the same, as `a:b:c:d` by `*:{user}:*`, is nobody's.

    Args:
        template: The template.

    Raises:
        ConfigurationError: `{user}` is missing, is there twice, or touches a `*`, so that nothing says where it ends.
    """

    def __init__(self, template: str) -> None:
        before, *behind = template.split(_USER)
        if not behind:
            raise ConfigurationError(
                f"the template {template!r} has no {_USER}: put it where the user's id is, as in chat:{_USER}:*"
            )
        if len(behind) > 1:
            raise ConfigurationError(f"the template {template!r} has {_USER} more than once: write * for the others")
        [after] = behind
        if before.endswith(_ANYTHING) or after.startswith(_ANYTHING):
            raise ConfigurationError(
                f"the template {template!r} does not say where the user's id begins and ends: there must be some text "
                f"between {_USER} and *"
            )
        self._heads = before.split(_ANYTHING)
        self._tails = after.split(_ANYTHING)

    def owner_of(self, key: str) -> str | None:
        found: str | None = None
        for user in self._readings(key):
            if found is not None and user != found:
                return None
            found = user
        return found if found is None or len(found.encode()) <= MAX_ID_BYTES else None

    def _readings(self, key: str) -> Iterator[str]:
        """Yield every user that the key may name, in a time that grows as the key's length does, whatever is in it."""
        ahead = self._heads[-1] if len(self._heads) > 1 else None
        for start, end in self._spans(key):
            if start < end and (ahead is None or key.find(ahead, start, end) < 0):
                yield key[start:end]

    def _spans(self, key: str) -> Iterator[tuple[int, int]]:
        latest = self._latest_end(key)
        if latest is None:
            return
        if len(self._tails) == 1:
            yield from ((start, latest) for start in self._starts(key))
            return
        behind, end = self._tails[0], -1
        for start in self._starts(key):
            if end < start and (end := key.find(behind, start)) < 0:
                return
            # In `a:::b` the text `::` stands twice, and `a` and `a:` are both in front of one.
            another = end
            while 0 <= another <= latest:
                yield start, another
                another = key.find(behind, another + 1, end + 2 * len(behind) - 1)

    def _starts(self, key: str) -> Iterator[int]:
        """Yield every place where the user may begin."""
        first, *others = self._heads
        if not key.startswith(first):
            return
        place = len(first)
        if not others:
            yield place
            return
        *middle, last = others
        for text in middle:
            if (place := key.find(text, place)) < 0:
                return
            place += len(text)
        while (place := key.find(last, place)) >= 0:
            yield place + len(last)
            place += 1

    def _latest_end(self, key: str) -> int | None:
        """Return the last place where the user may end so that what follows still fits."""
        *others, last = self._tails
        if not key.endswith(last):
            return None
        place = len(key) - len(last)
        for text in reversed(others):
            if (place := key.rfind(text, 0, place)) < 0:
                return None
        return place
