"""JSON texts that come back letter by letter, though what they say goes through a store that keeps no letters.

A store on the other side keeps an object's values, and not the order of its members, nor the blanks between them. Each
framework spells in one way, so its `Spelling` makes the same text of the same object; what is left to remember is the
order of the members, or the whole text where even that is not enough. That is a hint: None, a list of names, or the
text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from chatstore.models import JsonObject, JsonValue
from chatstore.redis.layouts.fields import BadFieldError, object_of

Hint: TypeAlias = JsonValue


@dataclass(frozen=True, slots=True)
class Spelling:
    """How a framework writes JSON.

    Attributes:
        ascii: Whether all other letters are escaped.
        compact: Whether there are no blanks behind commas and colons.
    """

    ascii: bool = True
    compact: bool = False

    def text(self, value: JsonObject, hint: Hint = None) -> str:
        """Return an object's text, the one that the hint remembers where that still says the same."""
        if isinstance(hint, str) and _says(hint, value):
            return hint
        return self._dumped(ordered(value, hint))

    def hint(self, text: str, value: JsonObject) -> Hint:
        """Return what to remember of a text beside the object that it says; None when that is nothing."""
        if self.text(value) == text:
            return None
        order: Hint = list(value)
        return order if self.text(value, order) == text else text

    def _dumped(self, value: JsonValue) -> str:
        separators = (",", ":") if self.compact else (", ", ": ")
        return json.dumps(value, ensure_ascii=self.ascii, separators=separators, default=_plain)


PYTHON = Spelling()
PYTHON_UNICODE = Spelling(ascii=False)
JAVASCRIPT = Spelling(ascii=False, compact=True)


def ordered(value: JsonObject, hint: Hint = None) -> dict[str, JsonValue]:
    """Return an object with its members in the order that a hint remembers, those behind that it does not, sorted."""
    names = [name for name in hint if isinstance(name, str) and name in value] if isinstance(hint, list) else []
    return {name: value[name] for name in dict.fromkeys([*names, *sorted(value)])}


def same_json(one: JsonValue, other: JsonValue) -> bool:
    """Return whether two values are the same, `1` and `1.0` being two."""
    if type(one) is not type(other) and not (isinstance(one, Mapping) and isinstance(other, Mapping)):
        return isinstance(one, list | tuple) and isinstance(other, list | tuple) and same_json(list(one), list(other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same_json(value, other[name]) for name, value in one.items())
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same_json, one, other))
    return one == other


def _says(text: str, value: JsonObject) -> bool:
    try:
        return same_json(object_of(text.encode(), "hint"), value)
    except (BadFieldError, UnicodeEncodeError):
        return False


def _plain(value: object) -> JsonValue:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(type(value).__name__)
