"""The layout `agent-framework` of chats: `RedisHistoryProvider` of Microsoft's Agent Framework.

`chat_messages|v2|{tenant}|{application}|{agent}|{source}|{session}` is a list of JSON items, the oldest first:
`{"type": "message", "role": …, "contents": [{"type": "text", "text": …}], …}`. In the older format the key is
`chat_messages:{session}`. What stands behind `chat_messages` is the session's id here, whichever the format. An app
that begins sessions by chatstore sets the prefix to all that stands before its own ids.
"""

from __future__ import annotations

from typing import ClassVar

from chatstore.models import JsonObject, JsonValue, Message, NewMessage
from chatstore.redis.layouts.fields import BadFieldError
from chatstore.redis.layouts.json_items import JsonItemChat, Parts, lua_of_list

_NAMED = frozenset({"type", "role", "contents"})


class AgentFrameworkChat(JsonItemChat):
    """Messages in a list, oldest first."""

    name: ClassVar[str] = "agent-framework"
    default_prefix: ClassVar[bytes] = b"chat_messages"
    shared: ClassVar[bool] = True
    distinct: ClassVar[bool] = False
    owned: ClassVar[bool] = False
    derived: ClassVar[bool] = True
    kind: ClassVar[str | None] = "list"
    notes: ClassVar[tuple[str, ...]] = (
        "Agent Framework stores no time of a message.",
        "With max_messages Agent Framework keeps the last ones only: those that it has trimmed are gone.",
    )
    lua: ClassVar[str] = lua_of_list(newest_first=False)

    def split(self, item: JsonObject) -> Parts:
        role, contents = _plain_role(item.get("role")), item.get("contents")
        if not role or not isinstance(contents, list):
            raise BadFieldError("the item has no role or no contents: Agent Framework did not write it")
        extra = {name: value for name, value in item.items() if name not in _NAMED}
        if not isinstance(item["role"], str):
            extra["role"] = item["role"]
        if item.get("type") != "message":
            extra["type"] = item.get("type")
        if extra.get("additional_properties") == {}:
            del extra["additional_properties"]
        content: JsonValue = contents
        match contents:
            case [{"type": "text", "text": str() as text, "additional_properties": {**given}, **others}] if (
                not others and not given
            ):
                content = text
            case _:
                pass
        return Parts(role, content, extra)

    def build(self, parts: Parts, message: Message | NewMessage) -> JsonObject:  # noqa: ARG002 - all is in the parts
        extra = dict(parts.extra)
        contents = parts.content
        if isinstance(contents, str):
            contents = [{"type": "text", "text": contents, "additional_properties": {}}]
        item: dict[str, JsonValue] = {
            "type": extra.pop("type", "message"),
            "role": extra.pop("role", parts.role),
            "contents": contents,
        }
        properties = extra.pop("additional_properties", {})
        return {**item, **extra, "additional_properties": properties}


def _plain_role(role: JsonValue) -> str:
    """Return a role's text; the first versions wrote `{"type": "role", "value": "user"}`."""
    match role:
        case str():
            return role
        case {"value": str() as value}:
            return value
        case _:
            return ""
