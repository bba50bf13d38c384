"""Times in ids: a ULID begins with the millisecond in which it was made (https://github.com/ulid/spec)."""

from __future__ import annotations

_DIGITS = {letter: number for number, letter in enumerate(b"0123456789ABCDEFGHJKMNPQRSTVWXYZ")}
_LENGTH = 26
_TIME = 10
_SINCE, _UNTIL = 1_420_070_400_000, 4_102_444_800_000
"""From 2015, when there were none yet, to 2100: other texts of this length could be taken for a ULID."""


def micros_of_ulid(text: bytes) -> int | None:
    """Return when a ULID was made (microseconds); None for what is none."""
    if len(text) != _LENGTH or any(letter not in _DIGITS for letter in text):
        return None
    millis = 0
    for letter in text[:_TIME]:
        millis = millis * 32 + _DIGITS[letter]
    return millis * 1000 if _SINCE <= millis < _UNTIL else None
