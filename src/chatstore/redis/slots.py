"""The slots of a Redis Cluster: in which of 16,384 a key lies, and names that lie in a given one."""

from __future__ import annotations

import binascii
from functools import cache
from itertools import count, product

SLOTS = 16_384

_LETTERS = b"0123456789abcdefghijklmnopqrstuvwxyz"


def slot_of(key: bytes) -> int:
    """Return the slot of a key: that of its tag, what stands between its first `{` and the next `}`, if anything does.

    See "Key distribution model" in Redis' cluster specification.
    """
    start = key.find(b"{") + 1
    end = key.find(b"}", start) if start else -1
    return binascii.crc_hqx(key[start:end] if end > start else key, 0) % SLOTS


def tag_of(slot: int) -> bytes:
    """Return the tag of up to four letters and digits that puts a key into a slot: the same one for ever."""
    return _tags()[slot]


@cache
def _tags() -> list[bytes]:
    tags: list[bytes] = [b""] * SLOTS
    missing = SLOTS
    for length in count(1):
        for letters in product(_LETTERS, repeat=length):
            tag = bytes(letters)
            slot = binascii.crc_hqx(tag, 0) % SLOTS
            if not tags[slot]:
                tags[slot] = tag
                missing -= 1
                if not missing:
                    return tags
    raise AssertionError  # pragma: no cover - `count` does not end
