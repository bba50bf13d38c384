"""The keys of one layout under one prefix: counted, and their records read, while the keys come by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from chatstore.models import Kind
from chatstore.redis.failures import printable
from chatstore.redis.inspection.candidates import GENERAL
from chatstore.redis.inspection.claiming import Candidate, Claim
from chatstore.redis.inspection.distinct import Distinct
from chatstore.redis.inspection.estimating import Scale
from chatstore.redis.inspection.peeking import Met
from chatstore.redis.inspection.records import ChatReader, DocumentReader, RecordReader
from chatstore.redis.inspection.report import Count, Expiry, Group, Rival
from chatstore.redis.layouts.keyed_chat import KeyedChat
from chatstore.redis.layouts.layout import ChatLayout, DocumentLayout

VECTOR_SET = "vectorset"
_LARGE = 16 * 1024 * 1024
_LONG = 20_000


@dataclass(slots=True, kw_only=True)
class Party:
    """One group while it is filled.

    Args:
        candidate: Whose layout it is, as it was recognised.
        layout: The layout with this group's prefix, index and owners.
        index: The search index that covers it; empty where none does.
        is_default: Whether the prefix is the layout's own.
        reader: What reads its records.
        asked: How many records were asked for.
    """

    candidate: Candidate
    layout: ChatLayout | DocumentLayout
    index: str
    is_default: bool
    reader: RecordReader
    _keys: int = 0
    _memory: int = 0
    _measured: int = 0
    _roles: Counter[str] = field(default_factory=Counter)
    _items: int = 0
    _sessions: Distinct = field(default_factory=Distinct)
    _ttls: int = 0
    _soonest: int | None = None
    _latest: int = 0
    _example: bytes = b""
    _rivals: dict[str, None] = field(default_factory=dict)
    _reasons: dict[str, None] = field(default_factory=dict)
    asked: int = 0

    @property
    def prefix(self) -> bytes:
        """What its keys begin with."""
        return self.layout.prefix

    def holds(self, key: bytes) -> bool:
        """Return whether a key begins as this group's do."""
        return key.startswith(self.prefix)

    def takes_for_its_own(self, met: Met) -> bool:
        """Return whether the store of this layout would read a key that no layout claims, and quarantine it."""
        orphans = self.layout.orphans if isinstance(self.layout, ChatLayout) else None
        if orphans is not None and met.key.startswith(orphans.prefix):
            return True
        if not self.prefix or not self.holds(met.key):
            return False
        if isinstance(self.layout, ChatLayout):
            return self.layout.distinct and self.layout.session_id(met.key) is not None
        return self.layout.kind is None

    def add(self, met: Met, claim: Claim) -> None:
        """Count a key."""
        self._keys += 1
        self._roles[claim.role] += 1
        self._example = self._example or met.key
        if met.memory is not None:
            self._memory += met.memory
            self._measured += 1
        if met.ttl is not None:
            self._ttls += 1
            self._soonest = met.ttl if self._soonest is None else min(self._soonest, met.ttl)
            self._latest = max(self._latest, met.ttl)
        if met.sample.kind in {"list", VECTOR_SET} and claim.role != "index":
            self._items += met.length or 0
        elif claim.role == "message":
            self._items += 1
        self._rivals.update(dict.fromkeys(rival.name for rival in claim.rivals if rival.name not in GENERAL))
        self._reasons.update(dict.fromkeys(claim.reasons))

    async def read(self, met: Sequence[Met], at_most: int | None) -> int:
        """Read so many of the records of some keys at most, of a message its session; return how many."""
        if at_most is not None:
            large = [each for each in met if _is_large(each)]
            self.reader.learned.too_large += len(large)
            left_out = {self._record_of(each) for each in large}
            met = [each for each in met if self._record_of(each) not in left_out]
        if isinstance(self.layout, KeyedChat):
            mine = [each for each in met if self.holds(each.key) and each.sample.kind == self.layout.kind]
            ids = await self._chats().sessions_of(mine)
        else:
            ids = list(dict.fromkeys(one for each in met if (one := self._record_of(each)) is not None))
        if isinstance(self.layout, ChatLayout):
            ids = [one for one in ids if self._sessions.add(one)]
        elif self.candidate.layout.kind == VECTOR_SET:
            ids = await self._elements(at_most) if at_most is None or at_most else []
        ids = ids[:at_most]
        self.asked += len(ids)
        await self.reader.read(ids)
        return len(ids)

    def group(self, keys: Scale) -> Group:
        """Return the group, of keys that were all looked at, or a sample."""
        if self.candidate.layout.kind == VECTOR_SET:
            # One key holds all of it, and that was looked at.
            keys = Scale(self._keys, self._keys, complete=True)
        sessions, messages, documents = self._counts(keys)
        total = documents if self.candidate.kind is Kind.DOCUMENTS else sessions
        learned = self.reader.learned
        read_all = keys.complete and total.exact and learned.read >= total.value
        of_read = Scale(total.value, learned.read, read_all)
        records = learned.records(of_read, keys)
        if self.candidate.kind is Kind.CHAT and messages is None and records.read:
            messages = of_read.of(learned.messages) if learned.has_all_messages else None
        chat = self.layout if isinstance(self.layout, ChatLayout) else None
        return Group(
            kind=self.candidate.kind,
            layout=self.layout.name,
            prefix=printable(self.prefix),
            is_default=self.is_default,
            index=self.index,
            owned=self.layout.owned,
            derived=chat.derived if chat else False,
            keys=keys.of(self._keys),
            sessions=sessions,
            messages=messages,
            documents=documents,
            memory=keys.of(self._memory * self._keys / self._measured) if self._measured else None,
            expiry=Expiry(keys=keys.of(self._ttls), soonest=(self._soonest or 0) / 1000, latest=self._latest / 1000),
            example=printable(self._example),
            records=records,
            rivals=self._told_rivals(),
            notes=self.layout.notes,
        )

    def _counts(self, keys: Scale) -> tuple[Count, Count | None, Count]:
        """Return how many sessions, messages and documents there are, as far as the keys say."""
        nothing = Count(0)
        if self.candidate.kind is Kind.DOCUMENTS:
            found = self._items if self.candidate.layout.kind == VECTOR_SET else self._roles["document"]
            return nothing, nothing, keys.of(found)
        messages = keys.of(self._items) if self._items else None
        if not self._roles["session"]:
            return self._sessions.altogether(complete=keys.complete), messages, nothing
        return keys.of(self._roles["session"]), messages, nothing

    def _record_of(self, met: Met) -> bytes | None:
        """Return the id of the record that a key is of, or of the session whose message it is."""
        if not self.holds(met.key):
            return None
        if isinstance(self.layout, ChatLayout):
            return self.layout.session_of(met.sample)
        if self.layout.kind is not None and self.layout.kind != met.sample.kind:
            return None
        return met.key[len(self.prefix) :]

    def _chats(self) -> ChatReader:
        assert isinstance(self.reader, ChatReader)  # noqa: S101 - it is a layout of chats
        return self.reader

    async def _elements(self, at_most: int | None) -> list[bytes]:
        assert isinstance(self.reader, DocumentReader)  # noqa: S101 - sets hold documents
        return await self.reader.elements(at_most)

    def _told_rivals(self) -> list[Rival]:
        reasons = " and ".join(self._reasons)
        said = f"less likely, as {reasons}" if reasons else "as likely: nothing but the settings can tell them apart"
        return [Rival(layout=name, reason=said) for name in self._rivals if name != self.layout.name]


def _is_large(met: Met) -> bool:
    if met.sample.kind == VECTOR_SET:
        return False  # its elements are read by chance, a few
    return (met.memory or 0) > _LARGE or (met.sample.kind == "list" and (met.length or 0) > _LONG)
