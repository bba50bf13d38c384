"""Which keys make a group: those of one layout that begin alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from chatstore.errors import ChatStoreError
from chatstore.models import Kind
from chatstore.models.ownership import Owners, Users
from chatstore.redis.inspection.checking import Checks
from chatstore.redis.inspection.claiming import Candidate, Claim
from chatstore.redis.inspection.grouping import VECTOR_SET, Party
from chatstore.redis.inspection.indexes import covering
from chatstore.redis.inspection.learning import Learned
from chatstore.redis.inspection.peeking import Met
from chatstore.redis.inspection.prefixes import learned
from chatstore.redis.inspection.reading import Reader
from chatstore.redis.inspection.records import ChatReader, DocumentReader, RecordReader, Somebody
from chatstore.redis.layouts import CHAT_LAYOUTS, DOCUMENT_LAYOUTS
from chatstore.redis.layouts.indexed import IndexedDocuments
from chatstore.redis.layouts.keyed_chat import KeyedChat
from chatstore.redis.layouts.layout import ChatLayout, DocumentLayout
from chatstore.redis.layouts.search_index import SearchIndex

_SEPARATORS = b":/|_-"
_RECORDS = ("session", "document")
_NAMING = (*_RECORDS, "message")
"""The roles whose keys tell a prefix, the best one first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What every group is made with.

    Attributes:
        reader: The connection.
        indexes: The server's search indexes.
        owners: Whose records are, by kind, where that was said.
        users: What the users' ids have become.
        checks: What the targets are asked.
        messages: How many messages of a session are read at most.
    """

    reader: Reader
    indexes: Sequence[SearchIndex]
    owners: Mapping[Kind, Owners] = field(default_factory=dict)
    users: Users | None = None
    checks: Checks
    messages: int


class Parties:
    """All groups; they are made of the first keys, and more of them as keys come that fit in none.

    Args:
        circumstances: What they are made with.
    """

    def __init__(self, circumstances: Circumstances) -> None:
        self._with = circumstances
        self._parties: dict[tuple[Kind, str], list[Party]] = defaultdict(list)

    def __iter__(self) -> Iterator[Party]:
        for parties in self._parties.values():
            yield from parties

    async def learn(self, claimed: Sequence[tuple[Met, Claim]]) -> None:
        """Make the groups that some keys need, by what these begin with."""
        by_layout: dict[tuple[Kind, str], list[tuple[Met, Claim]]] = defaultdict(list)
        for met, claim in claimed:
            if self._holder(met, claim) is None:
                by_layout[claim.candidate.kind, claim.candidate.name].append((met, claim))
        for identity, members in by_layout.items():
            role = next((role for role in _NAMING if any(claim.role == role for _, claim in members)), None)
            naming = [(met, claim) for met, claim in members if claim.role == role]
            if naming:
                candidate = naming[0][1].candidate
                for prefix in self._prefixes(candidate, [met for met, _ in naming]):
                    known = any(party.prefix == prefix for party in self._parties[identity])
                    if not known and _can_be_set(prefix):
                        self._parties[identity].append(await self._party(candidate, prefix))

    async def of(self, met: Met, claim: Claim) -> Party | None:
        """Return the group that a key belongs to: the one whose prefix it has, else the first of its layout.

        None for what a layout keeps beside its records, where there are no such records; and for a record whose key
        begins with what no setting can say.
        """
        found = self._holder(met, claim)
        if found is None:
            await self.learn([(met, claim)])
            found = self._holder(met, claim)
        if found is not None or claim.role in _RECORDS:
            return found
        parties = self._parties[claim.candidate.kind, claim.candidate.name]
        return parties[0] if parties else None

    def taking(self, met: Met) -> Party | None:
        """Return the group whose store would take a key for its own that no layout claims; None where none would."""
        return next((party for party in self if party.takes_for_its_own(met)), None)

    def _holder(self, met: Met, claim: Claim) -> Party | None:
        parties = self._parties[claim.candidate.kind, claim.candidate.name]
        holding = [party for party in parties if party.holds(met.key)]
        if holding:
            return max(holding, key=lambda party: len(party.prefix))
        return parties[0] if parties and claim.role not in _RECORDS else None

    def _prefixes(self, candidate: Candidate, members: Sequence[Met]) -> list[bytes]:
        """Return what the keys of one layout begin with."""
        if candidate.layout.kind == VECTOR_SET:
            return [met.key for met in members if met.key]
        default = candidate.default_prefix
        if candidate.kind is Kind.CHAT:
            strange = [met.key for met in members if not met.key.startswith(default)]
            usual = [default] if len(strange) < len(members) else []
            return usual + list(learned(strange) if strange else ())
        by_index: dict[bytes, list[bytes]] = defaultdict(list)
        strange = []
        for met in members:
            index = covering(self._with.indexes, met.key)
            if index is not None:
                by_index[index.name.encode("utf-8", "surrogateescape")].append(met.key)
            else:
                strange.append(met.key)
        found = [prefix for keys in by_index.values() for prefix in self._of_indexed(keys)]
        if isinstance(candidate.layout, IndexedDocuments):
            named = {key: _as_named(candidate.layout, key) for key in strange}
            found += dict.fromkeys(prefix for prefix in named.values() if prefix)
            strange = [key for key, prefix in named.items() if not prefix]
        elif any(key.startswith(default) for key in strange):
            found.append(default)
            strange = [key for key in strange if not key.startswith(default)]
        return found + list(learned(strange) if strange else ())

    def _of_indexed(self, keys: Sequence[bytes]) -> list[bytes]:
        """Return what the keys under one index begin with: what it says, and the separator that all have next."""
        index = covering(self._with.indexes, keys[0])
        assert index is not None  # noqa: S101 - the keys were put together by it
        found = []
        for own in sorted((one.encode("utf-8", "surrogateescape") for one in index.prefixes), key=len, reverse=True):
            mine = [key for key in keys if key.startswith(own)]
            keys = [key for key in keys if not key.startswith(own)]
            following = {key[len(own) : len(own) + 1] for key in mine}
            is_open = own[-1:] not in {bytes([one]) for one in _SEPARATORS}
            joint = following.pop() if is_open and len(following) == 1 else b""
            if mine:
                found.append(own + (joint if joint and joint in _SEPARATORS else b""))
        return found

    async def _party(self, candidate: Candidate, prefix: bytes) -> Party:
        index = covering(self._with.indexes, prefix)
        name = index.name if index is not None and _uses_index(candidate.layout) else ""
        if candidate.layout.kind == VECTOR_SET:
            name = prefix.decode()
        owners = None if candidate.layout.owned else self._with.owners.get(candidate.kind)
        said = candidate.layout.owned or owners is not None
        given = owners or (None if candidate.layout.owned else Somebody())
        text = prefix.decode()
        facts = Learned(self._with.checks, said)
        reader: RecordReader
        layout: ChatLayout | DocumentLayout
        if candidate.kind is Kind.CHAT:
            make = CHAT_LAYOUTS[candidate.name]
            layout = make(prefix=text, owners=given, index=name or None)
            is_default = prefix == candidate.default_prefix
            name = "" if name == getattr(make, "default_index", "") else name
            reader = ChatReader(self._with.reader, layout, self._with.users, facts, messages=self._with.messages)
        else:
            layout, is_default, refusal = await self._documents(candidate, text, name, given)
            reader = DocumentReader(self._with.reader, layout, self._with.users, facts)
            reader.refusal = refusal
        return Party(candidate=candidate, layout=layout, index=name, is_default=is_default, reader=reader)

    async def _documents(
        self, candidate: Candidate, prefix: str, index: str, owners: Owners | None
    ) -> tuple[DocumentLayout, bool, str | None]:
        """Return the layout of a group of documents, whether its prefix need not be said, and why it is of no use."""
        make = DOCUMENT_LAYOUTS[candidate.name]
        try:
            plain = make(index=index or None, owners=owners)
            await plain.prepare(self._with.reader)
        except ChatStoreError:
            pass
        else:
            if getattr(plain, "prefix", None) == prefix.encode():
                return plain, True, None
        layout = make(prefix=prefix, index=index or None, owners=owners)
        try:
            await layout.prepare(self._with.reader)
        except ChatStoreError as error:
            return layout, False, str(error)
        return layout, False, None


def _can_be_set(prefix: bytes) -> bool:
    """Return whether a setting can say this prefix, which is text."""
    try:
        prefix.decode()
    except UnicodeDecodeError:
        return False
    return True


def _uses_index(layout: ChatLayout | DocumentLayout) -> bool:
    return isinstance(layout, KeyedChat | IndexedDocuments)


def _as_named(layout: IndexedDocuments, key: bytes) -> bytes:
    """Return what a key begins with, if the framework chose that by the name of an index; empty if it did not."""
    head, _, tail = (part.encode() for part in layout.prefix_of("\0").partition("\0"))
    if not tail or not key.startswith(head):
        return b""
    name, found, _ = key[len(head) :].partition(tail)
    return head + name + tail if name and found else b""
