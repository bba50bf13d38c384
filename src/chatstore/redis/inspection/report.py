"""What an inspection says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from chatstore.models import Kind


@dataclass(frozen=True, slots=True)
class Count:
    """How many, or how much.

    Attributes:
        value: The number.
        exact: Whether everything was looked at; else it is an estimate, made of a sample.
    """

    value: int
    exact: bool = True

    def __add__(self, other: Count) -> Count:
        return Count(self.value + other.value, self.exact and other.exact)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is so of several records.

    Attributes:
        reason: What.
        records: Of how many records.
        example: The key of one of them, printable.
    """

    reason: str
    records: Count
    example: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Whose:
    """What is known of the users whose the records are.

    Attributes:
        said: Whether the layout, or a mapping of owners that was given, says whose a record is.
        users: How many different users the records that were read have.
        exact: Whether all records were read; else there are at least so many.
        nobodys: How many records nobody owns.
        examples: The keys of some of them, printable.
    """

    said: bool
    users: int = 0
    exact: bool = True
    nobodys: Count = Count(0)
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How long texts are, in bytes of UTF-8, of those that were read.

    Attributes:
        mean: On average.
        largest: The longest.
        example: The key of that one, printable.
    """

    mean: float
    largest: int
    example: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiry:
    """What expires by itself.

    Attributes:
        keys: How many keys have a TTL.
        soonest: The shortest that was seen, in seconds.
        latest: The longest that was seen, in seconds.
    """

    keys: Count
    soonest: float = 0.0
    latest: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """Another layout that would take the same keys.

    Attributes:
        layout: Its name.
        reason: Why it is less likely, or that it is as likely.
    """

    layout: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """What is known of the records of one group: of its sessions and messages, or of its documents.

    Attributes:
        read: How many sessions or documents were read, to know what follows.
        complete: Whether these are all, with all of their messages.
        messages_read: How many messages that were.
        too_large: How many keys a sample left out, because they are large; they are read where all are looked at.
        per_session: Messages a session, on average of those read.
        whose: Whose they are.
        sizes: How long the messages' or the documents' texts are; None where none was read.
        dimensions: How many documents' embeddings have which dimension; 0 stands for none at all. Of those read.
        oldest: The oldest time of a record; None where the layout has no times.
        newest: The newest one.
        unindexed: How many messages the search index of their layout does not know: they are found by their keys.
        quarantined: What a migration could not take, by reason.
        refused: What the target cannot hold, by reason.
        changed: What the target holds in another form, by reason; nothing of it is lost.
        seconds: How long the reading took.
    """

    read: int = 0
    complete: bool = False
    messages_read: int = 0
    too_large: int = 0
    per_session: float = 0.0
    whose: Whose = field(default_factory=lambda: Whose(said=False))
    sizes: Sizes | None = None
    dimensions: Mapping[int, int] = field(default_factory=dict)
    oldest: datetime | None = None
    newest: datetime | None = None
    unindexed: Count = Count(0)
    quarantined: Sequence[Finding] = ()
    refused: Sequence[Finding] = ()
    changed: Sequence[Finding] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The keys of one layout under one prefix.

    Attributes:
        kind: Chats or documents.
        layout: The layout's name, as the settings call it.
        prefix: What the keys begin with, printable.
        is_default: Whether that is the layout's default.
        index: The search index that covers them, where the layout needs one; empty else.
        owned: Whether the layout says itself whose a record is.
        derived: Whether messages get their ids and times from chatstore, which writes them down while a migration runs.
        keys: How many keys there are, of all its kinds.
        sessions: How many sessions.
        messages: How many messages; None where nothing tells.
        documents: How many documents.
        memory: How many bytes of memory the keys take; None where the server does not say.
        expiry: What of it expires.
        example: One of the keys, printable.
        records: What is known of the records.
        rivals: Other layouts that would take the same keys.
        notes: What the layout never stored, or what of it is not exact.
    """

    kind: Kind
    layout: str
    prefix: str
    is_default: bool = True
    index: str = ""
    owned: bool = True
    derived: bool = False
    keys: Count
    sessions: Count = Count(0)
    messages: Count | None = None
    documents: Count = Count(0)
    memory: Count | None = None
    expiry: Expiry
    example: str
    records: Records
    rivals: Sequence[Rival] = ()
    notes: Sequence[str] = ()

    @property
    def size(self) -> int:
        """How many records a migration would copy: sessions and messages, or documents."""
        return self.sessions.value + (self.messages.value if self.messages else 0) + self.documents.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Unclaimed:
    """Keys that are of no layout that chatstore knows.

    Attributes:
        pattern: What they are called, with `*` for what differs, printable.
        type: Their type, as the server's `TYPE` says it.
        keys: How many.
        example: One of them, printable.
        looks_like: What they might be, by what they hold; empty where nothing tells.
    """

    pattern: str
    type: str
    keys: Count
    example: str
    looks_like: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What lies in a Redis.

    Attributes:
        server: The server's version, as it says: `Redis 8.2.3`; empty where it does not say.
        address: Where it is.
        keys: How many keys it has.
        looked_at: How many of them were looked at.
        unseen: How many keys of one sort may be there though none was looked at: more of them are so with a probability
            of 5 % at most.
        complete: Whether all were looked at.
        seconds: How long that took.
        groups: What was recognised, the largest first.
        own: How many keys are chatstore's own, beside the records.
        elsewhere: How many keys the server's other logical databases have, by their numbers; they were not looked at.
        unclaimed: What was not recognised, the most numerous first.
        gaps: What could not be found out, and why.
    """

    server: str
    address: str
    keys: int
    looked_at: int
    unseen: int
    complete: bool
    seconds: float
    groups: Sequence[Group]
    own: Count
    elsewhere: Mapping[int, int]
    unclaimed: Sequence[Unclaimed]
    gaps: Sequence[str]

    def of(self, kind: Kind) -> list[Group]:
        """Return the groups of a kind, the largest first."""
        return [group for group in self.groups if group.kind is kind]
