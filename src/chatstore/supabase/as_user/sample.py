"""Who is looked at, and where: drawn so that the same seed draws the same, in memory that the data does not decide."""

from __future__ import annotations

import hashlib
import heapq
import math
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from chatstore.supabase.database import Transaction

_PAGE: Final = 1000

# From each user's id to the next one by the index: as many steps as there are users, however many sessions they have.
_USERS: Final = """
with recursive walk (user_id, step) as (
  (select s.user_id, 1 from public.sessions s where s.user_id > %s order by s.user_id limit 1)
  union all
  select (select s.user_id from public.sessions s where s.user_id > walk.user_id order by s.user_id limit 1), step + 1
  from walk
  where walk.user_id is not null and step < %s
)
select user_id from walk where user_id is not null
"""
_RANGE: Final = """
select max(page.id), count(*)
from (select s.id from public.sessions s where s.id > %s order by s.id limit %s) page
"""
_MESSAGES_ABOUT: Final = "select c.reltuples from pg_catalog.pg_class c where c.oid = 'public.messages'::regclass"


@dataclass(frozen=True, slots=True)
class Range:
    """A part of all sessions, by their ids.

    Attributes:
        after: Behind this id.
        last: Up to this one; None is to the end.
        sessions: How many there are.
    """

    after: str
    last: str | None
    sessions: int


@dataclass(frozen=True, slots=True)
class Ranges:
    """Where records of others are looked for.

    Attributes:
        chosen: The parts.
        sessions: How many sessions there are in all.
    """

    chosen: Sequence[Range]
    sessions: int

    @property
    def sessions_chosen(self) -> int:
        """How many sessions are in the parts."""
        return sum(part.sessions for part in self.chosen)


async def drawn_users(transaction: Transaction, count: int, seed: int) -> tuple[Sequence[str], int]:
    """Return some users who have sessions, drawn by chance, and how many such users there are."""
    total = 0
    drawn: list[tuple[int, str]] = []
    async for user_ids in _pages(transaction):
        total += len(user_ids)
        drawn = heapq.nsmallest(count, [*drawn, *((_lot(seed, user_id), user_id) for user_id in user_ids)])
    return [user_id for _, user_id in drawn], total


async def ranges(transaction: Transaction, rows: int, seed: int) -> Ranges:
    """Cut all sessions into parts, and choose as many by chance as hold about so many messages, at least one."""
    parts = await _parts(transaction)
    [(about,)] = await transaction.rows(_MESSAGES_ABOUT)
    share = min(1.0, rows / about) if about > 0 else 1.0
    by_lot = sorted(parts, key=lambda part: _lot(seed, part.after))
    chosen = set(by_lot[: max(1, math.ceil(share * len(parts)))])
    return Ranges([part for part in parts if part in chosen], sum(part.sessions for part in parts))


def parts_of(items: Iterable[str], size: int) -> Sequence[Sequence[str]]:
    """Cut ids into parts of at most this size."""
    held = list(items)
    return [held[start : start + size] for start in range(0, len(held), size)]


async def _parts(transaction: Transaction) -> Sequence[Range]:
    """Return the parts, in order and without gaps; what lies behind the last session belongs to the last of them."""
    parts: list[Range] = []
    after = ""
    while True:
        [(last, count)] = await transaction.rows(_RANGE, after, _PAGE)
        if count or not parts:
            parts.append(Range(after, last, count))
        if count < _PAGE:
            return [*parts[:-1], replace(parts[-1], last=None)]
        after = last


async def _pages(transaction: Transaction) -> AsyncIterator[Sequence[str]]:
    after = ""
    while True:
        user_ids = [user_id for (user_id,) in await transaction.rows(_USERS, after, _PAGE)]
        yield user_ids
        if len(user_ids) < _PAGE:
            return
        after = user_ids[-1]


def _lot(seed: int, name: str) -> int:
    digest = hashlib.sha256(f"{seed}:".encode() + name.encode(errors="surrogatepass")).digest()
    return int.from_bytes(digest[:8])
