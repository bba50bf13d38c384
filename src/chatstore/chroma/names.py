"""How a user's id becomes the name of a collection, and back.

Chroma names collections in 3 to 512 of `[a-zA-Z0-9._-]`, starting and ending with a letter or a digit, without `..`.
"""

from __future__ import annotations

import hashlib
import re
from urllib.parse import quote, unquote

from chatstore.models.values import check_text

_MAX_NAME = 512
_PLAIN = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]|\.(?!\.))*(?<=[A-Za-z0-9])")
_ESCAPED = re.compile(r"\.([0-9a-f]{2})")
_KEPT = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")


def collection_name(prefix: str, user_id: str) -> str:
    """Return the name of a user's collection; no two users get the same.

    An id that Chroma can take stays as it is. Any other is written as a hyphen, with which no plain name begins, and
    its UTF-8 bytes, those other than letters, digits and underscores as a dot and two hexadecimal digits:
    `auth0|7` becomes `-auth0.7c7`. One that is too long even so becomes two hyphens and its SHA-256; its collection's
    metadata say whose it is.

    Raises:
        InvalidRecordError: The id holds a lone surrogate.
    """
    raw = check_text(user_id, "user id").encode()
    room = _MAX_NAME - len(prefix)
    if len(raw) <= room and _PLAIN.fullmatch(user_id):
        return prefix + user_id
    escaped = "-" + _escape(raw)
    if len(escaped) <= room:
        return prefix + escaped
    return f"{prefix}--{hashlib.sha256(raw).hexdigest()}"


def user_of(prefix: str, name: str) -> str | None:
    """Return the user whose collection has this name; None when the name is of no user, or a hash."""
    rest = name.removeprefix(prefix)
    if not name.startswith(prefix) or rest.startswith("--"):
        return None
    if not rest.startswith("-"):
        return rest
    spelled = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), rest[1:])
    try:
        return spelled.encode("latin-1").decode()
    except UnicodeError:
        return None


def joined_id(user_id: str, document_id: str) -> str:
    """Return an id that names a document among all users' documents; no two get the same."""
    return f"{quote(check_text(user_id, 'user id'), safe='')}/{document_id}"


def split_id(joined: str) -> tuple[str, str]:
    """Return the user's and the document's id of which `joined` was made."""
    user_id, _, document_id = joined.partition("/")
    return unquote(user_id), document_id


def _escape(raw: bytes) -> str:
    # A name must end with a letter or a digit, so an underscore at the end is escaped, too.
    last = len(raw) - 1
    return "".join(
        chr(byte) if byte in _KEPT and not (at == last and byte == ord("_")) else f".{byte:02x}"
        for at, byte in enumerate(raw)
    )
