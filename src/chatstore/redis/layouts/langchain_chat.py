"""The layout `langchain` of chats: `RedisChatMessageHistory` of langchain-community.

`message_store:{session}` is a list of JSON items, `{"type": "human", "data": {"content": …, …}}`, the newest first.
LangChain reads the type and hands all of `data` to its message class, so what `extra` holds is there by its own name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from chatstore.models import JsonObject, JsonValue, Message, NewMessage
from chatstore.redis.layouts.fields import BadFieldError
from chatstore.redis.layouts.json_items import JsonItemChat, Parts, lua_of_list
from chatstore.redis.layouts.langchain_roles import ROLES, TYPES

_BEFORE_TYPE = ("additional_kwargs", "response_metadata")


class LangchainChat(JsonItemChat):
    """Messages in a list, newest first."""

    name: ClassVar[str] = "langchain"
    default_prefix: ClassVar[bytes] = b"message_store:"
    shared: ClassVar[bool] = True
    owned: ClassVar[bool] = False
    derived: ClassVar[bool] = True
    kind: ClassVar[str | None] = "list"
    notes: ClassVar[tuple[str, ...]] = ("LangChain stores no time of a message.",)
    # The type of a message whose role is the app's own.
    free: ClassVar[str] = "chat"
    # What is written of every message of a type, whether it was set or not.
    defaults: ClassVar[Mapping[str, JsonValue]] = {
        "additional_kwargs": {},
        "response_metadata": {},
        "name": None,
        "id": None,
    }
    defaults_of: ClassVar[Mapping[str, Mapping[str, JsonValue]]] = {
        "ai": {"tool_calls": [], "invalid_tool_calls": [], "usage_metadata": None},
        "tool": {"tool_call_id": "", "artifact": None, "status": "success"},
    }
    lua: ClassVar[str] = lua_of_list(newest_first=True)

    def split(self, item: JsonObject) -> Parts:
        kind, data = item.get("type"), item.get("data")
        if not isinstance(kind, str) or not kind or not isinstance(data, dict) or "content" not in data:
            raise BadFieldError("the item has no type, or no data with a content: LangChain did not write it")
        extra: dict[str, JsonValue] = {
            name: value
            for name, value in data.items()
            if name not in {"content", "type"} and not self._is_default(kind, name, value)
        }
        role = ROLES.get(kind, kind)
        named = data.get("role")
        if kind == self.free and isinstance(named, str) and named and named not in TYPES:
            role = named
            del extra["role"]
        elif kind not in ROLES:
            extra["type"] = kind
        others = {name: value for name, value in item.items() if name not in {"type", "data"}}
        return Parts(role, data["content"], {**extra, "item": others} if others else extra)

    def build(self, parts: Parts, message: Message | NewMessage) -> JsonObject:  # noqa: ARG002 - all is in the parts
        extra = dict(parts.extra)
        others = extra.pop("item", None)
        kind = extra.pop("type", None)
        if not isinstance(kind, str):
            kind = TYPES.get(parts.role, self.free)
            if kind == self.free:
                extra["role"] = parts.role
        held = {**self.defaults, **self.defaults_of.get(kind, {}), **extra}
        data = {"content": parts.content, **self.ordered(kind, held)}
        return {"type": kind, "data": data, **(others if isinstance(others, dict) else {})}

    def ordered(self, kind: str, held: dict[str, JsonValue]) -> dict[str, JsonValue]:
        """Return what a message holds beside its content, in the order in which LangChain writes it."""
        first = {name: held.pop(name) for name in _BEFORE_TYPE}
        return {**first, "type": kind, **held}

    def _is_default(self, kind: str, name: str, value: JsonValue) -> bool:
        defaults = {**self.defaults, **self.defaults_of.get(kind, {})}
        return name in defaults and type(value) is type(defaults[name]) and value == defaults[name]
