"""What is learned of the records that are read: whose they are, how large, how old, and what would become of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from chatstore.models import Document, DocumentChange, Message, Quarantined, ScanPage
from chatstore.models.limits import Limited
from chatstore.redis.failures import printable
from chatstore.redis.inspection.checking import Checks
from chatstore.redis.inspection.distinct import Distinct
from chatstore.redis.inspection.estimating import Scale
from chatstore.redis.inspection.findings import Findings
from chatstore.redis.inspection.peeking import Met
from chatstore.redis.inspection.report import Finding, Records, Sizes, Whose
from chatstore.redis.layouts.fields import BadFieldError
from chatstore.redis.layouts.json_items import ITEM
from chatstore.redis.layouts.keyed_chat import ID, SESSION
from chatstore.redis.layouts.layout import ChatLayout, DocumentLayout
from chatstore.redis.session_scan import Preview

_NOBODYS = "it is nobody's"
_EXAMPLES = 3
# What is said to be older than any of this was is derived, not known.
_EPOCH_ENDS = datetime(1971, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class _Texts:
    count: int = 0
    bytes: int = 0
    largest: int = -1
    example: str = ""

    def add(self, text: str, example: str) -> None:
        size = len(text.encode("utf-8", "surrogatepass"))
        self.count += 1
        self.bytes += size
        if size > self.largest:
            self.largest, self.example = size, example


@dataclass(slots=True)
class Learned:
    """What the records of one group say.

    Args:
        checks: What the targets are asked.
        said: Whether the layout or a mapping says whose the records are; else they are read as somebody's.
    """

    checks: Checks
    said: bool
    read: int = 0
    messages: int = 0
    has_all_messages: bool = True
    seconds: float = 0.0
    too_large: int = 0
    _users: Distinct = field(default_factory=Distinct)
    _nobodys: int = 0
    _unindexed: int = 0
    _unowned: list[str] = field(default_factory=list)
    _texts: _Texts = field(default_factory=_Texts)
    _oldest: datetime | None = None
    _newest: datetime | None = None
    _dimensions: Counter[int] = field(default_factory=Counter)
    _collections: dict[str, dict[int, tuple[int, str]]] = field(default_factory=lambda: defaultdict(dict))
    _bad: Findings = field(default_factory=Findings)
    _lost: Findings = field(default_factory=Findings)
    _refused: Findings = field(default_factory=Findings)
    _changed: Findings = field(default_factory=Findings)

    def chat_part(self, layout: ChatLayout, part: Preview) -> None:
        """Learn from a part of one session; one without any change or fault is of a session that is gone."""
        page = part.page
        self.read += part.is_first and bool(page.changes or page.quarantined)
        self.has_all_messages &= not part.is_cut
        self.bad(page.quarantined)
        for change in page.changes:
            if change.session is not None and part.is_first:
                key = printable(layout.prefix + change.session_id.encode("utf-8", "surrogateescape"))
                self._users.add(change.user_id.encode("utf-8", "surrogatepass"))
                self._times(change.session.created_at, change.session.updated_at)
                self._limits(self.checks.session(change.session), key)
            for message in change.messages:
                self._message(layout, message)

    def document_page(self, layout: DocumentLayout, page: ScanPage[DocumentChange]) -> None:
        """Learn from what was read of some documents."""
        self.read += len(page.changes) + len(page.quarantined)
        self.bad(page.quarantined)
        for change in page.changes:
            if change.document is not None:
                self._document(layout, change.document)

    def bad(self, records: Iterable[Quarantined]) -> None:
        """Count what would be quarantined."""
        for record in records:
            self._bad.add(record.reason, record.key)
            if record.reason.startswith(_NOBODYS):
                self._nobodys += 1
                if len(self._unowned) < _EXAMPLES:
                    self._unowned.append(record.key)

    def lost(self, records: Iterable[Quarantined]) -> None:
        """Count messages that no session lists; of all messages that were looked at, not of the sessions."""
        for record in records:
            self._lost.add(record.reason, record.key)

    def unindexed(self, layout: ChatLayout, met: Met, session_id: bytes, message_id: bytes) -> None:
        """Count a message that the search index does not know, and that a migration reads by its key."""
        self._unindexed += 1
        self.messages += 1
        fields = {**met.sample.fields, ITEM: met.sample.fields.get("", b""), SESSION: session_id, ID: message_id}
        try:
            layout.read_message(fields, b"")
        except (BadFieldError, UnicodeDecodeError) as error:
            self._bad.add(str(error), printable(met.key))

    def failed(self, reason: str, key: str) -> None:
        """Count a record that could not be read for a reason of its own."""
        self.read += 1
        self._bad.add(reason, key)

    def records(self, scale: Scale, of_lost: Scale) -> Records:
        """Return it all.

        Args:
            scale: How many sessions or documents there are, of those read.
            of_lost: The same of keys of messages that were looked at for whether a session lists them.
        """
        complete = scale.complete and self.has_all_messages and not self.too_large
        whole = Scale(scale.total, scale.seen, complete)
        mixed, few = self._mixed()
        return Records(
            read=self.read,
            complete=complete,
            messages_read=self.messages,
            too_large=self.too_large,
            per_session=self.messages / self.read if self.read else 0.0,
            whose=Whose(
                said=self.said,
                users=self._users.met.value if self.said else 0,
                exact=scale.complete and self._users.met.exact,
                nobodys=scale.of(self._nobodys),
                examples=tuple(self._unowned),
            ),
            sizes=Sizes(
                mean=self._texts.bytes / self._texts.count, largest=self._texts.largest, example=self._texts.example
            )
            if self._texts.count
            else None,
            dimensions=dict(sorted(self._dimensions.items())),
            oldest=self._oldest,
            newest=self._newest,
            unindexed=whole.of(self._unindexed),
            quarantined=[*self._bad.scaled(whole.of), *self._lost.scaled(of_lost.of)],
            refused=[*self._refused.scaled(whole.of), *_scaled(mixed, few, whole)],
            changed=self._changed.scaled(whole.of),
            seconds=self.seconds,
        )

    def _message(self, layout: ChatLayout, message: Message) -> None:
        key = printable(layout.message_key(message.session_id.encode(), message.id.encode()))
        self.messages += 1
        self._texts.add(message.content, key)
        self._times(message.created_at)
        self._limits(self.checks.message(message), key)

    def _document(self, layout: DocumentLayout, document: Document) -> None:
        key = printable(layout.place(document.id.encode()))
        self._users.add(document.user_id.encode("utf-8", "surrogatepass"))
        self._texts.add(document.text, key)
        self._times(document.created_at, document.updated_at)
        dimension = document.embedding.dimension if document.embedding is not None else 0
        self._dimensions[dimension] += 1
        self._limits(self.checks.document(document), key)
        if self.checks.collection_of is not None and dimension:
            held = self._collections[self.checks.collection_of(document.user_id)]
            count, example = held.get(dimension, (0, key))
            held[dimension] = (count + 1, example)

    def _times(self, *times: datetime) -> None:
        for time in times:
            if time >= _EPOCH_ENDS:
                self._oldest = time if self._oldest is None else min(self._oldest, time)
                self._newest = time if self._newest is None else max(self._newest, time)

    def _limits(self, limits: Iterable[Limited], key: str) -> None:
        for limit in limits:
            (self._refused if limit.refused else self._changed).add(limit.reason, key, is_general=True)

    def _mixed(self) -> tuple[int, str]:
        """Return how many documents have another dimension than most of their collection's, and the key of one."""
        count, example = 0, ""
        for held in self._collections.values():
            most = max(held, key=lambda dimension: held[dimension][0])
            for dimension, (found, key) in held.items():
                if dimension != most:
                    count, example = count + found, example or key
        return count, example


def _scaled(count: int, example: str, scale: Scale) -> list[Finding]:
    if not count:
        return []
    reason = "its embedding has another dimension than most in its collection, which can have one only"
    return [Finding(reason=reason, records=scale.of(count), example=example)]
