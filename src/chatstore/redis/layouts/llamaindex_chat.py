"""The layout `llamaindex` of chats: `RedisChatStore` of llama-index.

`{key}` is a list, without any prefix, of JSON items, `{"role": …, "additional_kwargs": {…}, "blocks": [{"block_type":
"text", "text": …}]}`, the oldest first. Versions before 0.12 wrote `content` (a text) instead of `blocks`. One block
of text is a message's content; other blocks are in `extra` under `content`.
"""

from __future__ import annotations

from typing import ClassVar

from chatstore.models import JsonObject, JsonValue, Message, NewMessage
from chatstore.redis.layouts.fields import BadFieldError, object_of
from chatstore.redis.layouts.json_items import JsonItemChat, Parts, lua_of_list

_NAMED = frozenset({"role", "content", "blocks"})


class LlamaindexChat(JsonItemChat):
    """Messages in a list, oldest first."""

    name: ClassVar[str] = "llamaindex"
    default_prefix: ClassVar[bytes] = b""
    shared: ClassVar[bool] = True
    distinct: ClassVar[bool] = False
    owned: ClassVar[bool] = False
    derived: ClassVar[bool] = True
    kind: ClassVar[str | None] = "list"
    compact: ClassVar[bool] = True
    ascii: ClassVar[bool] = False
    notes: ClassVar[tuple[str, ...]] = (
        "LlamaIndex stores no time of a message, and no id.",
        "LlamaIndex reads no message of a role that it does not know, should an app have written one by chatstore.",
    )
    lua: ClassVar[str] = lua_of_list(newest_first=False)

    def split(self, item: JsonObject) -> Parts:
        role = item.get("role")
        if not isinstance(role, str) or not role or not (isinstance(item.get("blocks"), list) or "content" in item):
            raise BadFieldError("the item has no role, or neither blocks nor a content: LlamaIndex did not write it")
        extra = {name: value for name, value in item.items() if name not in _NAMED}
        if extra.get("additional_kwargs") == {}:
            del extra["additional_kwargs"]
        if "blocks" in item and "content" in item:
            extra["blocks"] = item["blocks"]
            return Parts(role, item["content"], extra)
        content = item.get("content", item.get("blocks"))
        match content:
            case [{"block_type": "text", "text": str() as text, **others}] if not others:
                content = text
            case _:
                pass
        return Parts(role, content, extra)

    def build(self, parts: Parts, message: Message | NewMessage) -> JsonObject:  # noqa: ARG002 - all is in the parts
        extra = dict(parts.extra)
        blocks = parts.content
        if isinstance(blocks, str):
            blocks = [{"block_type": "text", "text": blocks}]
        item: dict[str, JsonValue] = {"role": parts.role, "additional_kwargs": extra.pop("additional_kwargs", {})}
        return {**item, "blocks": blocks, **extra}

    def _is_item(self, raw: bytes) -> bool:
        """As for any layout; but without a prefix, a role and a content alone may be anybody's."""
        try:
            item = object_of(raw, "the item")
            self.split(item)
        except BadFieldError:
            return False
        return "blocks" in item or "additional_kwargs" in item
