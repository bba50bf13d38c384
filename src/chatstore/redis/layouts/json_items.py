"""Messages of which each is one JSON text, as frameworks keep them in lists.

Nothing of an item is lost, and it comes back byte for byte: what the layout does not name is in the message's `extra`,
by the layout's own names, so that it can be queried on the new side. Postgres' jsonb keeps neither the order of keys
nor how a number was written. So an item is made anew of its message while it is read, with its keys in jsonb's order;
where that does not give the same bytes, `extra` also has the item's own text, under `json`: the parts before and behind
its content, or all of it. The other way round, the ledger keeps what an item cannot say: the metadata, and an `extra`
that reading the item would not give, for as long as the item is as it was written.
"""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import ClassVar

from chatstore.errors import InvalidRecordError
from chatstore.models import JsonObject, JsonValue, Message, NewMessage
from chatstore.redis.layouts.companion import CompanionChat
from chatstore.redis.layouts.fields import BadFieldError, json_of, object_of
from chatstore.redis.layouts.layout import Encoded, Fields, MessageValues, Sample
from chatstore.redis.scripts import lua_part

ITEM, ID = "item", "id"
"""By these names `lua/sequence.lua` gives an item and the id of its message."""

_TEXT = "json"
_METADATA = "metadata"
_EXTRA = "extra"
_CONTENT = "content"


@dataclass(frozen=True, slots=True)
class Parts:
    """What an item says.

    Attributes:
        role: Who speaks, as of `Message`.
        content: What the item has for its content: a text, a list of parts, or anything else.
        extra: All else, by the item's own names.
    """

    role: str
    content: JsonValue
    extra: dict[str, JsonValue] = field(default_factory=dict)


def lua_of_list(*, newest_first: bool) -> str:
    """Return the primitives of `session.lua` for a session that is one list.

    Args:
        newest_first: Whether the framework pushes at the head.
    """
    parts = [lua_part(name) for name in ("sequence_names", "sequence", "items_in_list")]
    key = "function(keys) return keys.header end"
    return "\n".join([*parts, f"local layout = sequence(items_in_list({key}, {str(newest_first).lower()}))"])


class JsonItemChat(CompanionChat):
    """A layout whose messages are JSON texts.

    Attributes:
        compact: Whether the framework writes no spaces between tokens.
        ascii: Whether it escapes what is not ASCII.
    """

    compact: ClassVar[bool] = False
    ascii: ClassVar[bool] = True
    whole: ClassVar[bool] = True
    companions: ClassVar[bool] = True

    @abstractmethod
    def split(self, item: JsonObject) -> Parts:
        """Return what an item says.

        Raises:
            BadFieldError: It is no item of this layout.
        """

    @abstractmethod
    def build(self, parts: Parts, message: Message | NewMessage) -> JsonObject:
        """Return the item that says this, its keys in the order in which the framework writes them."""

    def named(self, parts: Parts, message_id: str) -> Parts:  # noqa: ARG002 - for items with ids of their own
        """Return what an item says, without what the id of its message says already."""
        return parts

    def read_message(self, fields: Fields, rest: bytes) -> MessageValues:
        said = self._said(fields[ITEM], fields[ID].decode())
        if not rest:
            return said
        kept = object_of(rest, "what the ledger keeps")
        metadata, extra = kept.get(_METADATA, {}), said.extra
        match kept.get(_EXTRA):
            case [str() as of_item, dict() as given] if of_item == _digest(fields[ITEM]):
                extra = given
            case _:
                pass
        if not isinstance(metadata, dict):
            raise BadFieldError("the metadata that the ledger keeps is no JSON object")
        return MessageValues(said.role, said.content, metadata, extra)

    def _said(self, raw: bytes, message_id: str) -> MessageValues:
        """Return what an item says, without what the ledger keeps."""
        parts = self.named(self.split(object_of(raw, "the item")), message_id)
        content = text_of_parts(parts.content)
        extra = dict(parts.extra)
        if not isinstance(parts.content, str):
            extra[_CONTENT] = parts.content
        values = MessageValues(role=parts.role, content=content, metadata={}, extra=extra)
        if self._text(_as_message(values, message_id)) != raw:
            extra[_TEXT] = _around(raw, self._dumps(content)) if isinstance(parts.content, str) else raw.decode()
        return values

    def write_message(self, session_id: str, message: Message | NewMessage) -> Encoded:  # noqa: ARG002 - its key says so
        item = self._text(message)
        said = self._said_back(item, message)
        if said is None:
            # What `extra` has in the place of the role or of the content: it is kept beside, and not said to others.
            item = self._text(replace(message, extra={}))
            said = self._said_back(item, message)
        if said is None:
            raise InvalidRecordError(f"the message {message.id!r} cannot be one of the layout {self.name}")
        kept: dict[str, JsonValue] = {_METADATA: message.metadata} if message.metadata else {}
        if said.extra != message.extra:
            kept[_EXTRA] = [_digest(item), message.extra]
        return Encoded({ITEM: item}, json_of(kept) if kept else b"")

    def edit_message(self, message: Message, content: str | None, metadata: JsonObject | None) -> Encoded:
        """As of a layout. The item's own text is kept no longer, where it says another content now."""
        if content is not None and isinstance(message.extra.get(_TEXT), str):
            message = replace(message, extra={name: one for name, one in message.extra.items() if name != _TEXT})
        return super().edit_message(message, content, metadata)

    def _said_back(self, item: bytes, message: Message | NewMessage) -> MessageValues | None:
        """Return what an item says, if it says the message's role and content."""
        try:
            said = self._said(item, message.id)
        except BadFieldError:
            return None
        return said if (said.role, said.content) == (message.role, message.content) else None

    def raw_message(self, flat: Sequence[bytes]) -> bytes:
        return dict(zip(flat[::2], flat[1::2], strict=True)).get(ITEM.encode(), b"")

    def claims(self, sample: Sample) -> str | None:
        if sample.kind != self.kind:
            return None
        return "session" if any(map(self._is_item, sample.items)) else None

    def _is_item(self, raw: bytes) -> bool:
        try:
            self.split(object_of(raw, "the item"))
        except BadFieldError:
            return False
        return True

    def _text(self, message: Message | NewMessage) -> bytes:
        held = message.extra.get(_TEXT)
        match held:
            case [str() as before, str() as behind]:
                return before.encode() + self._dumps(message.content) + behind.encode()
            case str() if self._item_says(held.encode(), message):
                return held.encode()
            case _:
                pass
        others = {name: value for name, value in message.extra.items() if name not in {_TEXT, _CONTENT}}
        extra = {name: in_jsonb_order(others[name]) for name in _names_in_order(others)}
        content: JsonValue = message.content
        if _CONTENT in message.extra and text_of_parts(message.extra[_CONTENT]) == message.content:
            content = in_jsonb_order(message.extra[_CONTENT])
        return self._dumps(self.build(Parts(message.role, content, extra), message))

    def _item_says(self, item: bytes, message: Message | NewMessage) -> bool:
        try:
            parts = self.split(object_of(item, "the item"))
        except BadFieldError:
            return False
        return (parts.role, text_of_parts(parts.content)) == (message.role, message.content)

    def _dumps(self, value: JsonValue) -> bytes:
        separators = (",", ":") if self.compact else (", ", ": ")
        return json.dumps(value, ensure_ascii=self.ascii, separators=separators, default=dict).encode()


def _digest(item: bytes) -> str:
    return hashlib.blake2b(item, digest_size=8).hexdigest()


def text_of_parts(content: JsonValue) -> str:
    """Return the text of a content: of one that is made of parts, their texts, a line each; empty where it has none."""
    if isinstance(content, str):
        return content
    if not isinstance(content, Sequence):
        return ""
    texts = [part if isinstance(part, str) else part.get("text") for part in content if isinstance(part, str | Mapping)]
    return "\n".join(text for text in texts if isinstance(text, str))


def _around(raw: bytes, content: bytes) -> JsonValue:
    """Return what stands before and behind the content in an item's text; all of it where that is not certain."""
    before, found, behind = raw.partition(b'"content": ' + content)
    if not found:
        before, found, behind = raw.partition(b'"content":' + content)
    if not found or content in behind:
        return raw.decode()
    return [(before + found[: -len(content)]).decode(), behind.decode()]


def _as_message(values: MessageValues, message_id: str) -> NewMessage:
    return NewMessage(values.role, values.content, id=message_id, metadata=values.metadata, extra=values.extra)


def in_jsonb_order(value: JsonValue) -> JsonValue:
    """Return a value as Postgres gives a jsonb's, with its keys by length, then by bytes."""
    if isinstance(value, Mapping):
        return {name: in_jsonb_order(value[name]) for name in _names_in_order(value)}
    if isinstance(value, list | tuple):
        return [in_jsonb_order(one) for one in value]
    return _as_numeric(value) if isinstance(value, float) else value


def _as_numeric(value: float) -> int | float:
    """Return a number as Postgres gives a jsonb's, a `numeric`: without a negative zero or a large exponent."""
    if not value:
        return 0.0
    written = repr(value)
    return int(Decimal(written)) if "e+" in written else value


def _names_in_order(value: JsonObject) -> list[str]:
    encoded = {name: name.encode("utf-8", "surrogatepass") for name in value}
    return sorted(value, key=lambda name: (len(encoded[name]), encoded[name]))
