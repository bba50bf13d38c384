"""The layout `vercel-kv` of chats: that of Vercel's AI chatbot template while it used KV, and of its forks.

`chat:{id}` is a hash: id, title, userId, createdAt (milliseconds, or ISO 8601), path, and messages, a JSON array of
`{"id", "role", "content", …}`; in later forks with `parts`. `user:chat:{userId}` is a sorted set of the keys of a
user's chats, by createdAt. A message's id is the item's own where it has one that no other has. The metadata is in a
companion of ours.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import ClassVar

from chatstore.models import JsonObject, JsonValue, Message, NewMessage, Session, to_micros
from chatstore.redis.layouts.fields import BadFieldError
from chatstore.redis.layouts.headed import HeadedChat
from chatstore.redis.layouts.json_items import Parts, text_of_parts
from chatstore.redis.layouts.layout import Sample
from chatstore.redis.scripts import lua_part

_SHAPE = frozenset({"id", "title", "userId", "createdAt", "path", "messages"})
_ENOUGH = 3


class VercelKvChat(HeadedChat):
    """Chats in a hash each, with their messages in one JSON array."""

    name: ClassVar[str] = "vercel-kv"
    default_prefix: ClassVar[bytes] = b"chat:"
    shared: ClassVar[bool] = True
    distinct: ClassVar[bool] = False
    spread: ClassVar[bool] = True
    beside: ClassVar[tuple[bytes, ...]] = (b"user:chat:",)
    companions: ClassVar[bool] = False
    derived: ClassVar[bool] = True
    kind: ClassVar[str | None] = "hash"
    compact: ClassVar[bool] = True
    ascii: ClassVar[bool] = False
    header: ClassVar[frozenset[str]] = frozenset({"userId", "title", "createdAt"})
    title_field: ClassVar[str] = "title"
    created_field: ClassVar[str] = "createdAt"
    created_pattern: ClassVar[re.Pattern[bytes]] = re.compile(rb"[0-9]{12,14}")
    notes: ClassVar[tuple[str, ...]] = (
        "The chatbot template stores when a chat was made, but not when it was last written.",
        "The chatbot template stores no time of a message that chatstore reads; what is in a message stays there.",
        "What is between the messages of the array, spaces say, is not kept when chatstore writes it.",
    )
    lua: ClassVar[str] = "\n".join(
        [
            lua_part("sequence_names"),
            lua_part("sequence"),
            lua_part("items_in_json"),
            lua_part("header_in_hash"),
            r"""
local function created_at(value)
  return micros_of_millis(value:match('^"(.*)"$') or value)
end

local function chats_of(user)
  return 'user:chat:' .. user
end

local layout = sequence(items_in_json('messages'), header_in_hash({
  owner = 'userId',
  created = 'createdAt',
  lost_digits = 3,
  required = true,
  items = 'messages',
  micros = created_at,
  beside = function()
    return {}
  end,
  needed = function(keys)
    return { 'id', keys.session_id, 'path', '/chat/' .. keys.session_id }
  end,
  saved = function(keys)
    local user, created = unpack(redis.call('HMGET', keys.header, 'userId', 'createdAt'))
    redis.call('ZADD', chats_of(user), millis_of(created_at(created)), keys.header)
  end,
  dropping = function(keys)
    local user = redis.call('HGET', keys.header, 'userId')
    if user then
      redis.call('ZREM', chats_of(user), keys.header)
    end
  end,
}))
""",
        ]
    )

    def claims(self, sample: Sample) -> str | None:
        if sample.kind == "zset":
            return "index" if sample.key.startswith(b"user:chat:") else None
        shape = _SHAPE & sample.fields.keys()
        return "session" if sample.kind == "hash" and "messages" in shape and len(shape) >= _ENOUGH else None

    def write_header(self, session: Session) -> dict[str, bytes]:
        return {
            "userId": session.user_id.encode(),
            "createdAt": b"%d" % (to_micros(session.created_at) // 1000),
        }

    def split(self, item: JsonObject) -> Parts:
        role = item.get("role")
        if not isinstance(role, str) or not role or not ("content" in item or isinstance(item.get("parts"), list)):
            raise BadFieldError("the message has no role, or neither content nor parts")
        extra = {name: value for name, value in item.items() if name not in {"role", "content"}}
        return Parts(role, item["content"] if "content" in item else text_of_parts(item["parts"]), extra)

    def named(self, parts: Parts, message_id: str) -> Parts:
        if "id" not in parts.extra:
            return replace(parts, extra={**parts.extra, "id": None})
        if parts.extra["id"] != message_id:
            return parts
        return replace(parts, extra={name: value for name, value in parts.extra.items() if name != "id"})

    def build(self, parts: Parts, message: Message | NewMessage) -> JsonObject:
        extra = dict(parts.extra)
        own: dict[str, JsonValue] = {"id": extra.pop("id")} if "id" in extra else {"id": message.id}
        if own["id"] is None:
            own = {}
        if "parts" in extra and text_of_parts(extra["parts"]) != text_of_parts(parts.content):
            extra["parts"] = [{"type": "text", "text": text_of_parts(parts.content)}]
        return {**own, "role": parts.role, "content": parts.content, **extra}
