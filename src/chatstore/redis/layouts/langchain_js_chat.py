"""The layout `langchain-js` of chats: `RedisChatMessageHistory` of `@langchain/redis`, and of the packages before it.

`{session}` is a list, without any prefix, of JSON items as `JSON.stringify` writes them, `{"type": "human", "data":
{"content": …, …}}`, the newest first. Items of its first versions are `{"type", "text", "role"}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from chatstore.models import JsonObject, JsonValue
from chatstore.redis.layouts.json_items import Parts
from chatstore.redis.layouts.langchain_chat import LangchainChat

_BEHIND = ("additional_kwargs", "response_metadata")
_BEHIND_THEM = ("tool_calls", "invalid_tool_calls", "usage_metadata")


class LangchainJsChat(LangchainChat):
    """As `langchain`, without a prefix, in compact JSON."""

    name: ClassVar[str] = "langchain-js"
    default_prefix: ClassVar[bytes] = b""
    distinct: ClassVar[bool] = False
    compact: ClassVar[bool] = True
    ascii: ClassVar[bool] = False
    free: ClassVar[str] = "generic"
    defaults: ClassVar[Mapping[str, JsonValue]] = {"additional_kwargs": {}, "response_metadata": {}}
    defaults_of: ClassVar[Mapping[str, Mapping[str, JsonValue]]] = {
        "ai": {"tool_calls": [], "invalid_tool_calls": []},
        # Without these it refuses to read the message.
        "tool": {"tool_call_id": ""},
        "function": {"name": ""},
    }
    notes: ClassVar[tuple[str, ...]] = (
        "LangChain.js stores no time of a message, and no field of an app's own but in additional_kwargs.",
    )

    def split(self, item: JsonObject) -> Parts:
        if "data" in item or "text" not in item:
            return super().split(item)
        others = {name: value for name, value in item.items() if name not in {"type", "text", "role"}}
        data: dict[str, JsonValue] = {"content": item["text"]}
        if item.get("role") is not None:
            data["role"] = item["role"]
        return super().split({**others, "type": item.get("type"), "data": data})

    def ordered(self, kind: str, held: dict[str, JsonValue]) -> dict[str, JsonValue]:  # noqa: ARG002 - the same for all
        last = [name for name in (*_BEHIND, *_BEHIND_THEM) if name in held]
        return {**{name: held[name] for name in held if name not in last}, **{name: held[name] for name in last}}
