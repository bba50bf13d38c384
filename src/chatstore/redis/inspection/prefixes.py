"""What the keys of one layout begin with, learned from the keys."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

_MANY = 8
_SEPARATOR = re.compile(rb"[:/|]")
_OPAQUE = re.compile(
    rb"[0-9]+|[0-9a-fA-F]{8,}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-7][0-9A-HJKMNP-TV-Z]{25}"
)


def learned(keys: Sequence[bytes]) -> dict[bytes, list[bytes]]:
    """Return the keys by what they begin with.

    Keys are put together by their first part, up to a colon, slash or bar; what all keys of such a party have in
    common, up to a separator, is their prefix. Where nearly every key has a first part of its own, that is no prefix
    but an id: then there is one party, without a prefix.
    """
    parties: dict[bytes, list[bytes]] = defaultdict(list)
    for key in keys:
        parties[_first_part(key)].append(key)
    if len(parties) > max(3, len(keys) // 3) or (len(parties) > 1 and any(not head for head in parties)):
        return {b"": list(keys)}
    return {_common(party): party for party in parties.values()}


def patterns(keys: Iterable[bytes]) -> dict[bytes, list[bytes]]:
    """Return the keys by a pattern that says how they are called: what they have in common, and `*`."""
    found: dict[bytes, list[bytes]] = {}
    loose: list[bytes] = []
    parties: dict[bytes, list[bytes]] = defaultdict(list)
    for key in keys:
        parties[_first_part(key)].append(key)
    for head, party in parties.items():
        if not head or (len(party) == 1 and len(parties) > _MANY):
            loose += party
        else:
            found[party[0] if len(party) == 1 else _common(party) + b"*"] = party
    if loose:
        found[loose[0] if len(loose) == 1 else b"*"] = loose
    return found


def _first_part(key: bytes) -> bytes:
    """Return a key's first part with its separator; empty where it has none, or where it is an id by its look."""
    separator = _SEPARATOR.search(key)
    if separator is None:
        return b""
    head = key[: separator.end()]
    return b"" if _OPAQUE.fullmatch(head[:-1]) else head


def _common(keys: Sequence[bytes]) -> bytes:
    """Return what all keys begin with, up to a separator; of a single key, all but its last part."""
    least, greatest = min(keys), max(keys)
    alike = next(
        (at for at, (a, b) in enumerate(zip(least, greatest, strict=False)) if a != b), min(len(least), len(greatest))
    )
    shared = least[:alike]
    if shared in keys:
        shared = shared[:-1]
    ends = [found.end() for found in _SEPARATOR.finditer(shared)]
    while ends:
        prefix = shared[: ends[-1]]
        # What looks like an id at the end is one, that the few keys that were seen happen to share.
        last = prefix[ends[-2] if len(ends) > 1 else 0 : -1]
        if not _OPAQUE.fullmatch(last):
            return prefix
        ends.pop()
    return b""
