"""The layout `openai-agents` of chats: `RedisSession` of the OpenAI Agents SDK.

`agents:session:{id}` is a hash: session_id, created_at and updated_at (seconds). `agents:session:{id}:messages` is a
list of items of the Responses API, the oldest first; older versions also kept a counter, `agents:session:{id}:counter`.
The title, the metadata and the user are in a companion of ours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from chatstore.models import JsonObject, JsonValue, Message, NewMessage, Session, to_micros
from chatstore.redis.layouts.fields import BadFieldError
from chatstore.redis.layouts.headed import HeadedChat
from chatstore.redis.layouts.json_items import Parts
from chatstore.redis.layouts.layout import Sample
from chatstore.redis.scripts import lua_part

_MESSAGES = b":messages"
_COUNTER = b":counter"
_CONTENT: Mapping[str, str] = {
    "function_call": "arguments",
    "function_call_output": "output",
    "computer_call_output": "output",
    "local_shell_call_output": "output",
    "shell_call_output": "output",
    "apply_patch_call_output": "output",
    "custom_tool_call": "input",
    "custom_tool_call_output": "output",
    "reasoning": "summary",
    "compaction": "encrypted_content",
}
"""Where an item without a role has its content."""


class OpenaiAgentsChat(HeadedChat):
    """Sessions in a hash, items of the Responses API in a list beside it."""

    name: ClassVar[str] = "openai-agents"
    default_prefix: ClassVar[bytes] = b"agents:session:"
    shared: ClassVar[bool] = True
    distinct: ClassVar[bool] = False
    owned: ClassVar[bool] = False
    spread: ClassVar[bool] = True
    derived: ClassVar[bool] = True
    kind: ClassVar[str | None] = None
    compact: ClassVar[bool] = True
    header: ClassVar[frozenset[str]] = frozenset({"created_at", "updated_at"})
    created_field: ClassVar[str] = "created_at"
    created_pattern: ClassVar[re.Pattern[bytes]] = re.compile(rb"[0-9]{1,11}")
    notes: ClassVar[tuple[str, ...]] = ("The OpenAI Agents SDK stores no time of an item.",)
    lua: ClassVar[str] = "\n".join(
        [
            lua_part("sequence_names"),
            lua_part("sequence"),
            lua_part("items_in_list"),
            lua_part("header_in_hash"),
            r"""
local function messages_key(keys)
  return keys.header .. ':messages'
end

local layout = sequence(items_in_list(messages_key, false), header_in_hash({
  created = 'created_at',
  updated = 'updated_at',
  lost_digits = 6,
  micros = function(value)
    local seconds, fraction = value:match('^(%d+)%.?(%d*)$')
    if seconds and #seconds < 12 then
      return (seconds .. (fraction .. '000000'):sub(1, 6)):match('^0*(%d+)$')
    end
    return micros_of_millis(value)
  end,
  value = function(micros)
    return coarse(micros, 6):match('^(.+)000000$') or '0'
  end,
  beside = function(keys)
    return { messages_key(keys), keys.header .. ':counter' }
  end,
  needed = function(keys)
    return { 'session_id', keys.session_id }
  end,
}))
""",
        ]
    )

    def session_id(self, key: bytes) -> bytes | None:
        rest = key[len(self.prefix) :]
        return rest.removesuffix(_COUNTER) if rest.endswith(_COUNTER) else rest.removesuffix(_MESSAGES)

    @property
    def kinds(self) -> tuple[str, ...]:
        return ("hash", "list")

    def keys_of(self, session_id: bytes) -> tuple[bytes, ...]:
        return (self.prefix + session_id, self.prefix + session_id + _MESSAGES)

    def session_of(self, sample: Sample) -> bytes | None:
        rest = sample.key[len(self.prefix) :]
        if sample.kind == "hash":
            return rest
        return None if sample.kind == "string" and rest.endswith(_COUNTER) else rest.removesuffix(_MESSAGES)

    def claims(self, sample: Sample) -> str | None:
        rest = sample.key.removeprefix(self.prefix)
        if sample.kind == "hash":
            return "session" if {"session_id", "created_at"} <= sample.fields.keys() else None
        if sample.kind == "list" and rest.endswith(_MESSAGES) and any(map(self._is_item, sample.items)):
            return "message"
        return "index" if sample.kind == "string" and rest.endswith(_COUNTER) else None

    def write_header(self, session: Session) -> dict[str, bytes]:
        return {
            "created_at": b"%d" % (to_micros(session.created_at) // 1_000_000),
            "updated_at": b"%d" % (to_micros(session.updated_at) // 1_000_000),
            ":user": session.user_id.encode(),
        }

    def split(self, item: JsonObject) -> Parts:
        role, kind = item.get("role"), item.get("type")
        if isinstance(role, str) and role:
            extra = {name: value for name, value in item.items() if name not in {"role", "content"}}
            return Parts(role, item.get("content", ""), extra)
        if not isinstance(kind, str) or not kind:
            raise BadFieldError("the item has neither a role nor a type: it is none of the Responses API")
        place = _CONTENT.get(kind, "content")
        extra = {name: value for name, value in item.items() if name != place}
        return Parts(kind, item.get(place, ""), extra)

    def build(self, parts: Parts, message: Message | NewMessage) -> JsonObject:  # noqa: ARG002 - all is in the parts
        extra = dict(parts.extra)
        kind = extra.get("type")
        if kind == parts.role and "role" not in extra:
            place = _CONTENT.get(parts.role, "content")
            content: dict[str, JsonValue] = {place: parts.content} if parts.content != "" or place in _CONTENT else {}
            return {**extra, **content}
        return {"role": parts.role, "content": parts.content, **extra}
