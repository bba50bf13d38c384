"""The layout `langchain` of chats: `RedisChatMessageHistory` of langchain-community.

`message_store:{session}` is a list of JSON items, `{"type": "human", "data": {"content": …, …}}`, the newest first.
LangChain reads the type and hands all of `data` to its message class, so what `extra` holds is there by its own name.
"""

from __future__ import annotations

from typing import ClassVar

from chatstore.models import JsonObject, JsonValue, Message, NewMessage
from chatstore.redis.layouts.fields import BadFieldError
from chatstore.redis.layouts.json_items import JsonItemChat, Parts
from chatstore.redis.scripts import lua_part

_ROLES = {"human": "user", "ai": "assistant", "system": "system", "tool": "tool", "function": "function"}
_TYPES = {role: kind for kind, role in _ROLES.items()}
# What LangChain writes of every message of a type, whether it was set or not.
_DEFAULTS: dict[str, JsonValue] = {"additional_kwargs": {}, "response_metadata": {}, "name": None, "id": None}
_DEFAULTS_OF: dict[str, dict[str, JsonValue]] = {
    "ai": {"tool_calls": [], "invalid_tool_calls": [], "usage_metadata": None},
    "tool": {"tool_call_id": "", "artifact": None, "status": "success"},
}
_BEFORE_TYPE = ("additional_kwargs", "response_metadata")


class LangchainChat(JsonItemChat):
    """Messages in a list, newest first."""

    name: ClassVar[str] = "langchain"
    default_prefix: ClassVar[bytes] = b"message_store:"
    shared: ClassVar[bool] = True
    owned: ClassVar[bool] = False
    derived: ClassVar[bool] = True
    kind: ClassVar[str] = "list"
    lua: ClassVar[str] = "\n".join(
        [
            lua_part("sequence"),
            lua_part("items_in_list"),
            "local layout = sequence(items_in_list(function(keys) return keys.header end, true))",
        ]
    )

    def split(self, item: JsonObject) -> Parts:
        kind, data = item.get("type"), item.get("data")
        if not isinstance(kind, str) or not kind or not isinstance(data, dict) or "content" not in data:
            raise BadFieldError("the item has no type, or no data with a content: LangChain did not write it")
        extra: dict[str, JsonValue] = {
            name: value
            for name, value in data.items()
            if name not in {"content", "type"} and not _is_default(kind, name, value)
        }
        role = _ROLES.get(kind, kind)
        named = data.get("role")
        if kind == "chat" and isinstance(named, str) and named and named not in _TYPES:
            role = named
            del extra["role"]
        elif kind not in _ROLES:
            extra["type"] = kind
        others = {name: value for name, value in item.items() if name not in {"type", "data"}}
        return Parts(role, data["content"], {**extra, "item": others} if others else extra)

    def build(self, parts: Parts, message: Message | NewMessage) -> JsonObject:  # noqa: ARG002 - all is in the parts
        extra = dict(parts.extra)
        others = extra.pop("item", None)
        kind = extra.pop("type", None)
        if not isinstance(kind, str):
            kind = _TYPES.get(parts.role, "chat")
            if kind == "chat":
                extra["role"] = parts.role
        held = {**_DEFAULTS, **_DEFAULTS_OF.get(kind, {}), **extra}
        data: dict[str, JsonValue] = {"content": parts.content}
        data |= {name: held.pop(name) for name in _BEFORE_TYPE}
        data |= {"type": kind, **held}
        return {"type": kind, "data": data, **(others if isinstance(others, dict) else {})}


def _is_default(kind: str, name: str, value: JsonValue) -> bool:
    defaults = {**_DEFAULTS, **_DEFAULTS_OF.get(kind, {})}
    return name in defaults and type(value) is type(defaults[name]) and value == defaults[name]
