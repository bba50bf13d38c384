"""What a script's failure, or a record that cannot be read, becomes."""

from __future__ import annotations

from collections.abc import Sequence

from chatstore.errors import LayoutError
from chatstore.models import Quarantined
from chatstore.redis.layouts.fields import BadFieldError
from chatstore.redis.layouts.layout import Fields
from chatstore.redis.scripts import Reply

_MAX_RAW = 65_536


def problem_of(reply: Reply) -> LayoutError:
    """Return a script's `problem` as an error."""
    _, key, reason, raw = reply[:4]
    return LayoutError(key, raw, printable(reason))


def quarantined(error: LayoutError) -> Quarantined:
    """Return an unreadable record as an entry of the quarantine."""
    return Quarantined(key=printable(error.key), reason=error.reason, raw=error.raw[:_MAX_RAW], size=len(error.raw))


def id_of(raw: bytes, key: bytes, what: str) -> str:
    """Return the id of what lies at a key.

    Raises:
        LayoutError: No record has such an id: it is empty, or not UTF-8.
    """
    if not raw:
        raise LayoutError(key, b"", f"the {what}'s id is empty: its key is the prefix alone")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise LayoutError(key, b"", f"the {what}'s id is not UTF-8") from None  # whose `repr` quotes it


def printable(raw: bytes) -> str:
    """Return bytes as text, with a backslash escape for what is not UTF-8."""
    return raw.decode("utf-8", "backslashreplace")


def raw_of(flat: Sequence[bytes]) -> bytes:
    """Return a hash's fields and values as one text, a line each; of a JSON document its text, which has no name."""
    has_no_names = flat[::2] == [b""]
    return flat[1] if has_no_names else b"\n".join(flat)


def fields_of(flat: Sequence[bytes]) -> Fields:
    """Return a flat list of fields and values as a mapping.

    Raises:
        BadFieldError: A field's name is not UTF-8.
    """
    try:
        return dict(zip(map(bytes.decode, flat[::2]), flat[1::2], strict=True))
    except UnicodeDecodeError:
        raise BadFieldError("a field's name is not UTF-8") from None
