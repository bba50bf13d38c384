"""The types of LangChain's messages, and the roles that they are."""

from __future__ import annotations

from collections.abc import Mapping

ROLES: Mapping[str, str] = {
    "human": "user",
    "ai": "assistant",
    "system": "system",
    "tool": "tool",
    "function": "function",
}
TYPES: Mapping[str, str] = {role: kind for kind, role in ROLES.items()}
