"""Versions: how two sides agree, without asking each other, which of two states of a record is the newer.

A version is a count of microseconds that only grows per key: the greater of the last one plus one and the clock. Its
lowest bit says which side gave it, so two sides that write the same record at once can never give the same version
to different content. (The idea is Lamport's: a logical clock, with the process's name to break ties.)
"""

from __future__ import annotations

from chatstore.models.sides import Side

_PARITY = {Side.OLD: 0, Side.NEW: 1}


def next_version(last: int, now_micros: int, side: Side) -> int:
    """Return the smallest version that is greater than `last`, not before `now_micros`, and of `side`'s parity.

    The servers' own scripts compute the same: here it is for stores without one, and as the definition.
    """
    version = max(last + 1, now_micros)
    return version + ((version & 1) ^ _PARITY[side])
