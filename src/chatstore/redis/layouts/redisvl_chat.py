"""The layout `redisvl` of chats: `MessageHistory` and `SemanticMessageHistory` of redisvl.

`{name}:{session}:{time}:{hex}` is a hash a message, under a search index of the history's name: entry_id (the key
behind the name), role, content, session_tag, timestamp (seconds), tool_call_id, metadata (JSON) and, in the semantic
history, vector_field (the content's embedding, as bytes). Old versions wrote no `{hex}`. What is no UTF-8 is in
`extra` as `{"base64": …}`.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import ClassVar

from chatstore.models import JsonObject, JsonValue, Message, NewMessage
from chatstore.models.ownership import Owners
from chatstore.redis.layouts.fields import BadFieldError, object_of, required_text_of, text_of
from chatstore.redis.layouts.json_items import in_jsonb_order
from chatstore.redis.layouts.keyed_chat import (
    ID,
    NEW,
    SESSION,
    Keyed,
    KeyedChat,
    as_message,
    is_new,
    is_plain_time,
    rest_for,
    seconds_of,
    values_of,
    with_rest,
)
from chatstore.redis.layouts.layout import Encoded, Fields, MessageValues, Sample

_ENTRY = re.compile(rb"(.+?):(\d{9,}(?:\.\d+)?(?::[0-9a-f]{8})?)$", re.DOTALL)
_NAMED = frozenset({"entry_id", "role", "content", "session_tag", "timestamp", "metadata", SESSION, ID, NEW})
_SHAPE = frozenset({"entry_id", "role", "content", "session_tag", "timestamp"})
_ENOUGH = 3
_VECTOR = "vector_field"
_BYTES = "base64"
_OLD_ROLE, _ROLE = "llm", "assistant"


class RedisvlChat(KeyedChat):
    """Messages in a hash each."""

    name: ClassVar[str] = "redisvl"
    default_prefix: ClassVar[bytes] = b"chat:"
    default_index: ClassVar[str] = "chat"
    session_field: ClassVar[str] = "session_tag"
    notes: ClassVar[tuple[str, ...]] = (
        "A session has no expiry of its own, its messages have.",
        "An edited message of a semantic history keeps the embedding of its old content.",
    )

    def __init__(self, *, prefix: str | None = None, index: str | None = None, owners: Owners | None = None) -> None:
        """As of `ChatLayout`; of the name and the prefix of a history each is the other one where only one is given."""
        name = index or (prefix.rstrip(":") if prefix else None)
        named = prefix or index
        super().__init__(prefix=named and f"{named.rstrip(':')}:", index=name, owners=owners)

    def parted(self, key: bytes) -> Keyed | None:
        found = _ENTRY.match(key[len(self.prefix) :])
        return Keyed(found[1], found[2]) if found else super().parted(key)

    def asking(self, key: bytes) -> tuple[bytes | str, ...]:
        return ("HGET", key, self.session_field)

    def answered(self, answer: object) -> bytes | None:
        return answer if isinstance(answer, bytes) else None

    def claims(self, sample: Sample) -> str | None:
        fits = sample.kind == self.kind and len(_SHAPE & set(sample.fields)) >= _ENOUGH
        return "message" if fits and ("session_tag" in sample.fields or "entry_id" in sample.fields) else None

    def read_message(self, fields: Fields, rest: bytes) -> MessageValues:
        if "content" not in fields:
            raise BadFieldError("it has no content: redisvl did not write it")
        role = required_text_of(fields, "role")
        extra: dict[str, JsonValue] = {name: _json_of(name, fields[name]) for name in fields if name not in _NAMED}
        if role == _OLD_ROLE:
            role, extra["role"] = _ROLE, role
        if fields.get("entry_id") != fields[SESSION] + b":" + fields[ID]:
            extra["entry_id"] = text_of(fields, "entry_id") if "entry_id" in fields else None
        if not is_plain_time(text_of(fields, "timestamp")):
            extra["timestamp"] = text_of(fields, "timestamp")
        metadata: JsonObject = {}
        if "metadata" in fields:
            written = text_of(fields, "metadata")
            metadata = _object_in(written)
            if not metadata or _dumps(metadata) != written:
                extra["metadata"] = written
        return with_rest(MessageValues(role, text_of(fields, "content"), metadata, extra), rest)

    def write_message(self, session_id: str, message: Message | NewMessage) -> Encoded:
        given = as_message(session_id, message)
        fields: dict[str, bytes] = {}
        for name, value in given.extra.items():
            held = None if name in _NAMED else _bytes_of(name, value)
            if held is not None:
                fields[name] = held
        is_old = given.role == _ROLE and given.extra.get("role") == _OLD_ROLE
        fields |= {
            "role": (_OLD_ROLE if is_old else given.role).encode(),
            "content": given.content.encode(),
            "session_tag": session_id.encode(),
            "timestamp": _own(given, "timestamp", seconds_of(given.created_at)),
        }
        if given.extra.get("entry_id", "") is not None:
            fields["entry_id"] = _own(given, "entry_id", f"{session_id}:{given.id}")
        written = given.extra.get("metadata")
        if isinstance(written, str) and _object_in(written) == given.metadata:
            fields["metadata"] = written.encode()
        elif given.metadata:
            fields["metadata"] = _dumps(given.metadata).encode()
        held_by_them = self.read_message({**fields, ID: given.id.encode(), SESSION: session_id.encode()}, b"")
        return Encoded({**fields, **is_new(message)}, rest_for(values_of(message), held_by_them))

    def change_message(self, content: str | None, metadata: JsonObject | None) -> Fields:
        fields = {} if content is None else {"content": content.encode()}
        return fields if metadata is None else {**fields, "metadata": _dumps(metadata).encode()}

    storage: ClassVar[str] = r"""
function storage.session_of(key)
  local session = redis.pcall('HGET', key, 'session_tag')
  return type(session) == 'string' and session or nil
end

function storage.times(names)
  local times = {}
  for i, key in ipairs(names) do
    local time = redis.pcall('HGET', key, 'timestamp')
    times[i] = type(time) == 'string' and time or (redis.call('EXISTS', key) == 1 and '')
  end
  return times
end

function storage.read(key, kept)
  local fields, wrong = hash_at(key)
  if wrong then
    return nil, wrong
  elseif #fields == 0 then
    return nil
  end
  local time = field_of(fields, 'timestamp') or ''
  if kept ~= '' and kept[1] == time then
    merge_fields(fields, { 'timestamp', kept[2] })
  end
  return fields, time
end

function storage.write(key, fields)
  rewrite_hash(key, fields)
end

function storage.set_time(key, time)
  redis.call('HSET', key, 'timestamp', time)
end

function storage.kept(key, fields)
  local held, given = redis.call('HGET', key, 'timestamp'), field_of(fields, 'timestamp')
  return held == given and '' or { held, given }
end

function storage.change(key, fields)
  call_in_pieces('HSET', key, fields)
end

function storage.same(fields, others)
  return field_of(fields, 'role') == field_of(others, 'role')
    and field_of(fields, 'content') == field_of(others, 'content')
end
"""


def _own(message: Message, name: str, otherwise: str) -> bytes:
    """Return what `extra` has for a field of the layout, where that is a text."""
    value = message.extra.get(name)
    return (value if isinstance(value, str) else otherwise).encode()


def _json_of(name: str, raw: bytes) -> JsonValue:
    """Return a field that the layout does not name: as text, where it is text and no embedding."""
    try:
        if name != _VECTOR:
            return raw.decode()
    except UnicodeDecodeError:
        pass
    return {_BYTES: base64.b64encode(raw).decode()}


def _bytes_of(name: str, value: JsonValue) -> bytes | None:
    """Return the field of which `_json_of` makes this value; None where none does."""
    if isinstance(value, str) and name != _VECTOR:
        return value.encode()
    if not isinstance(value, dict) or set(value) != {_BYTES} or not isinstance(value[_BYTES], str):
        return None
    try:
        raw = base64.b64decode(value[_BYTES], validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if _json_of(name, raw) == value else None


def _object_in(text: str) -> JsonObject:
    """Return the JSON object that a text is; an empty one for any other text, which is kept as such."""
    try:
        return object_of(text.encode(), "metadata")
    except BadFieldError:
        return {}


def _dumps(value: JsonObject) -> str:
    """Return an object as redisvl writes it, its keys in jsonb's order."""
    return json.dumps(in_jsonb_order(value), default=dict)
