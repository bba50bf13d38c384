"""The layout `langchain-redis` of chats: `RedisChatMessageHistory` of langchain-redis.

`chat:{session}:{ulid}` is a RedisJSON document a message: `{"type", "message_id", "data": {"content",
"additional_kwargs", "type", …}, "session_id", "timestamp"}`, under the search index `idx:chat_history`. Old versions
wrote no `message_id`, and the time in the ULID's place. LangChain hands all of `data` to its message class, so what
`extra` holds is there by its own name; what is beside `data` is in `extra` under `item`.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import ClassVar

from chatstore.errors import InvalidRecordError
from chatstore.models import JsonObject, JsonValue, Message, NewMessage, from_micros
from chatstore.redis.layouts.fields import BadFieldError, object_of
from chatstore.redis.layouts.json_items import ITEM, JsonItemChat, Parts, text_of_parts
from chatstore.redis.layouts.keyed_chat import (
    ID,
    SESSION,
    KeyedChat,
    as_message,
    is_new,
    is_plain_time,
    micros_of_text,
    rest_for,
    seconds_of,
    values_of,
    with_rest,
)
from chatstore.redis.layouts.langchain_roles import ROLES, TYPES
from chatstore.redis.layouts.layout import Encoded, Fields, MessageValues, Sample
from chatstore.redis.layouts.redis_json import json_for_redis

# What LangChain's classes cannot do without.
_NEEDED: dict[str, dict[str, JsonValue]] = {
    "tool": {"tool_call_id": "", "status": "success"},
    "function": {"name": ""},
}
_NAMES = frozenset({"type", "message_id", "data", "session_id", "timestamp"})
_ENOUGH = 3
_OWN = ("timestamp", "message_id", "item")
_CUT = 65_536
_UNKNOWN = datetime(1970, 1, 1, tzinfo=UTC)


class LangchainRedisChat(KeyedChat, JsonItemChat):
    """Messages in a RedisJSON document each."""

    name: ClassVar[str] = "langchain-redis"
    default_prefix: ClassVar[bytes] = b"chat:"
    default_index: ClassVar[str] = "idx:chat_history"
    session_field: ClassVar[str] = "session_id"
    kind: ClassVar[str] = "ReJSON-RL"
    compact: ClassVar[bool] = True
    ascii: ClassVar[bool] = False
    notes: ClassVar[tuple[str, ...]] = (
        "Tool calls, response metadata, usage, ids, names and artifacts of messages were never stored.",
        "LangChain itself finds no message whose content is made of parts: its index refuses it. It is moved.",
        "A session has no expiry of its own, its messages have.",
    )

    def asking(self, key: bytes) -> tuple[bytes | str, ...]:
        return ("JSON.GET", key, "$.session_id")

    def answered(self, answer: object) -> bytes | None:
        found = json.loads(answer) if isinstance(answer, bytes) else None
        return found[0].encode() if isinstance(found, list) and found and isinstance(found[0], str) else None

    def claims(self, sample: Sample) -> str | None:
        raw = sample.fields.get("", b"")
        if sample.kind != self.kind:
            return None
        try:
            item = object_of(raw, "the document")
        except BadFieldError:
            there = sum(f'"{name}":'.encode() in raw for name in _NAMES) if len(raw) >= _CUT else 0
        else:
            there = len(_NAMES & set(item))
        return "message" if there >= _ENOUGH else None

    def split(self, item: JsonObject) -> Parts:
        kind, data = item.get("type"), item.get("data")
        if not isinstance(kind, str) or not kind or not isinstance(data, dict) or "content" not in data:
            raise BadFieldError("it has no type, or no data with a content: LangChain did not write it")
        extra: dict[str, JsonValue] = {
            name: value
            for name, value in data.items()
            if name not in {"content", "type"} and not (name == "additional_kwargs" and value == {})
        }
        role, named = ROLES.get(kind, kind), data.get("role")
        if kind == "chat" and isinstance(named, str) and named and named not in TYPES:
            role = named
            del extra["role"]
        elif kind not in ROLES:
            extra["type"] = kind
        others = {name: value for name, value in item.items() if name not in _NAMES}
        return Parts(role, data["content"], {**extra, "item": others} if others else extra)

    def build(self, parts: Parts, message: Message | NewMessage) -> JsonObject:
        given = as_message("", message)
        extra = dict(parts.extra)
        timestamp, message_id, others = (
            extra.pop(name, default) for name, default in zip(_OWN, ("", "", None), strict=True)
        )
        kind = extra.pop("type", None)
        if not isinstance(kind, str):
            kind = TYPES.get(parts.role, "chat")
            if kind == "chat":
                extra["role"] = parts.role
        held = {**_NEEDED.get(kind, {}), **extra}
        data = {"content": parts.content, "additional_kwargs": held.pop("additional_kwargs", {}), "type": kind, **held}
        is_time = isinstance(timestamp, int | float) and not isinstance(timestamp, bool)
        return {
            "type": kind,
            **({} if message_id is None else {"message_id": message_id or given.id}),
            "data": data,
            "session_id": given.session_id,
            "timestamp": timestamp if is_time else float(seconds_of(given.created_at)),
            **(others if isinstance(others, dict) else {}),
        }

    def read_message(self, fields: Fields, rest: bytes) -> MessageValues:
        raw, message_id = fields[ITEM], fields[ID].decode()
        item = object_of(raw, "the document")
        parts = self.split(item)
        extra = dict(parts.extra)
        if item.get("message_id") != message_id:
            extra["message_id"] = item.get("message_id")
        written = item.get("timestamp")
        time = repr(written) if isinstance(written, int | float) else ""
        if not is_plain_time(time):
            extra["timestamp"] = written
        if not isinstance(parts.content, str):
            extra["content"] = parts.content
        values = MessageValues(parts.role, text_of_parts(parts.content), {}, extra)
        micros = micros_of_text(time) if is_plain_time(time) else None
        message = NewMessage(
            values.role,
            values.content,
            id=message_id,
            created_at=_UNKNOWN if micros is None else from_micros(micros),
            extra=extra,
        )
        if self._text(as_message(fields[SESSION].decode(), message)) != raw:
            extra["json"] = raw.decode()
        return with_rest(values, rest)

    def write_message(self, session_id: str, message: Message | NewMessage) -> Encoded:
        given = as_message(session_id, message)
        text = self._text(given)
        try:
            held = self.read_message({ITEM: text, ID: given.id.encode(), SESSION: session_id.encode()}, b"")
        except BadFieldError as error:
            raise InvalidRecordError(
                f"the message {given.id!r} cannot be a document of langchain-redis: {error}"
            ) from error
        spelled = json_for_redis(json.loads(text)).encode()
        fields = {ITEM: text, **is_new(message)}
        return Encoded(
            fields if spelled == text else {**fields, "spelled": spelled}, rest_for(values_of(message), held)
        )

    def _text(self, message: Message | NewMessage) -> bytes:
        """Return a message's document: as it was in Redis, where `extra` has that and it still says the same."""
        held = message.extra.get("json")
        others = {name: value for name, value in message.extra.items() if name != "json"}
        if isinstance(held, str) and self._says(held, replace(message, extra=others)):
            return held.encode()
        return super()._text(replace(message, extra=others))

    def _says(self, text: str, message: Message | NewMessage) -> bool:
        given = as_message("", message)
        fields = {ITEM: text.encode(), ID: given.id.encode(), SESSION: given.session_id.encode()}
        try:
            item = object_of(fields[ITEM], "the document")
            parts = self.split(item)
        except BadFieldError:
            return False
        message_id = given.extra.get("message_id", given.id)
        same = item.get("session_id") == given.session_id and item.get("message_id") == message_id
        return same and parts.role == given.role and text_of_parts(parts.content) == given.content

    storage: ClassVar[str] = r"""
function storage.session_of(key)
  local found = redis.pcall('JSON.GET', key, '$.session_id')
  local fine, list = pcall(cjson.decode, type(found) == 'string' and found or '')
  return fine and type(list) == 'table' and type(list[1]) == 'string' and list[1] or nil
end

local function time_in(found)
  return type(found) == 'string' and found:sub(2, -2) or false
end

function storage.times(names)
  local arguments = {}
  for i, key in ipairs(names) do
    arguments[i] = key
  end
  arguments[#names + 1] = '$.timestamp'
  local found = redis.pcall('JSON.MGET', unpack(arguments))
  local times = {}
  for i, key in ipairs(names) do
    -- One key of another type spoils all.
    times[i] = time_in(found.err and redis.pcall('JSON.GET', key, '$.timestamp') or not found.err and found[i])
  end
  return times
end

function storage.read(key, kept)
  local found = redis.pcall('JSON.GET', key)
  if not found then
    return nil
  elseif type(found) ~= 'string' then
    return nil, wrong_type(key, 'RedisJSON document')
  end
  local time = time_in(redis.call('JSON.GET', key, '$.timestamp')) or ''
  if kept ~= '' and kept[1] == redis.sha1hex(found) then
    found = kept[2]
  end
  return { 'item', found }, time
end

function storage.write(key, fields)
  redis.call('JSON.SET', key, '$', field_of(fields, 'spelled') or field_of(fields, 'item'))
end

function storage.set_time(key, time)
  redis.call('JSON.SET', key, '$.timestamp', time)
end

function storage.kept(key, fields)
  local found, item = redis.call('JSON.GET', key), field_of(fields, 'item')
  return found == item and '' or { redis.sha1hex(found), item }
end

function storage.same(fields, others)
  return field_of(fields, 'item') == field_of(others, 'item')
end
"""
