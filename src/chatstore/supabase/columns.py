"""Many records as the columns in which they go to the database's functions and come back (`70_chat_states.sql`).

orjson writes and reads a list of texts or numbers several times as fast as a list of records. What it would not keep as
it is goes by `text` instead: texts that Postgres cannot hold, and the numbers of JSON that is the app's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from chatstore.models import ChatChange, JsonObject, Message, MessageTombstone, Session
from chatstore.supabase import text

# What Postgres cannot hold, as orjson writes it: U+0000, and the code point that begins our own encoding. A lone
# surrogate it refuses.
_UNSTORABLE = (b"\\u0000", text.ESCAPE.encode())
# In an app's own JSON: a float with an exponent, see `text`; and what may have been a NaN, which orjson writes as null.
_SUSPECT = re.compile(rb"[0-9]e|null|\\u0000|" + text.ESCAPE.encode())
_STRICT = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS
_NOTHING: JsonObject = {}


def changes_to_text(changes: Sequence[ChatChange], last: Sequence[int]) -> str:
    """Return what `chatstore_put_columns` takes.

    Args:
        changes: One of each session; what is in it is of one life, and each record comes once.
        last: Of each, the greatest version that it has seen.

    Raises:
        InvalidRecordError: No JSON can hold one of the values.
    """
    columns = _of_sessions(changes) | {"s_last": last} | _of_messages(changes) | _of_tombstones(changes)
    try:
        written = orjson.dumps({name: _fragments(values) for name, values in columns.items() if values is not None})
    except TypeError:  # a lone surrogate, or a number that is too great for it
        return _slowly(columns)
    return _slowly(columns) if any(mark in written for mark in _UNSTORABLE) else written.decode()


def changes_from_text(answer: str) -> tuple[list[ChatChange], dict[str, Any] | None]:
    """Return what `chatstore_state_columns` told, and where it goes on.

    Raises:
        ValueError, TypeError, KeyError: It is no answer of that function.
    """
    told = orjson.loads(answer)
    encoded = text.ESCAPE in answer
    sessions = told["sessions"]
    ids = _texts(sessions["ids"], encoded=encoded)
    users = _texts(sessions["users"], encoded=encoded)
    messages: list[list[Message]] = [[] for _ in ids]
    for message in _messages(told["messages"], ids, users, encoded=encoded):
        messages[message[0] - 1].append(message[1])
    stones: list[list[MessageTombstone]] = [[] for _ in ids]
    of_stones = told["tombstones"]
    if of_stones["of"]:
        names = _texts(of_stones["ids"], encoded=encoded)
        for place, name, version in zip(of_stones["of"], names, of_stones["versions"], strict=True):
            stones[place - 1].append(MessageTombstone(name, version))
    headers = _sessions(sessions, ids, users, encoded=encoded)
    changes = [
        ChatChange(
            session_id=ids[place],
            user_id=users[place],
            session=header,
            deleted=sessions["deleted"][place],
            cleared=sessions["cleared"][place],
            messages=tuple(messages[place]),
            tombstones=tuple(stones[place]),
        )
        for place, header in enumerate(headers)
        if header is not None or sessions["deleted"][place] > 0
    ]
    following = told["next"]
    if following is not None and encoded:
        following = {name: text.decode(value) if isinstance(value, str) else value for name, value in following.items()}
    return changes, following


class _Objects(list[JsonObject | None]):
    """A column of JSON objects of the app's own; None for an empty one."""


def _of_sessions(changes: Sequence[ChatChange]) -> dict[str, Any]:
    headers = [change.session for change in changes]
    return {
        "s_ids": [change.session_id for change in changes],
        "s_users": [change.user_id for change in changes],
        "s_deleted": [change.deleted for change in changes],
        "s_cleared": [change.cleared for change in changes],
        "s_titles": [header and header.title for header in headers],
        "s_metadata": _objects([header.metadata if header else _NOTHING for header in headers]),
        "s_created": [header and header.created_at for header in headers],
        "s_updated": [header and header.updated_at for header in headers],
        "s_expires": _unless_all_none([header and header.expires_at for header in headers]),
        "s_versions": [None if header is None else header.version for header in headers],
        "s_born": [None if header is None else header.born for header in headers],
        "s_extra": _objects([header.extra if header else _NOTHING for header in headers]),
        "s_fingerprints": _unless_all_none([change.session and change.fingerprint for change in changes]),
    }


def _of_messages(changes: Sequence[ChatChange]) -> dict[str, Any]:
    messages = [message for change in changes for message in change.messages]
    if not messages:
        return {}
    return {
        "m_of": [place for place, change in enumerate(changes, 1) for _ in change.messages],
        "m_ids": [message.id for message in messages],
        "m_positions": [message.position for message in messages],
        "m_roles": [message.role for message in messages],
        "m_contents": [message.content for message in messages],
        "m_metadata": _objects([message.metadata for message in messages]),
        "m_created": [message.created_at for message in messages],
        "m_expires": _unless_all_none([message.expires_at for message in messages]),
        "m_versions": [message.version for message in messages],
        "m_extra": _objects([message.extra for message in messages]),
    }


def _of_tombstones(changes: Sequence[ChatChange]) -> dict[str, Any]:
    stones = [(place, stone) for place, change in enumerate(changes, 1) for stone in change.tombstones]
    if not stones:
        return {}
    return {
        "t_of": [place for place, _ in stones],
        "t_ids": [stone.id for _, stone in stones],
        "t_versions": [stone.version for _, stone in stones],
    }


def _objects(values: list[JsonObject]) -> _Objects | None:
    return _Objects(value or None for value in values) if any(values) else None


def _unless_all_none(values: list[Any]) -> list[Any] | None:
    return values if any(value is not None for value in values) else None


def _fragments(values: list[Any]) -> list[Any]:
    """The app's own JSON, written so that each number comes back as it is."""
    return [value and _fragment(value) for value in values] if isinstance(values, _Objects) else values


def _fragment(value: JsonObject) -> orjson.Fragment:
    written = orjson.dumps(value, option=_STRICT)
    return orjson.Fragment(text.dump(value) if _SUSPECT.search(written) else written)


def _slowly(columns: Mapping[str, list[Any] | None]) -> str:
    return text.dump({name: [_plain(value) for value in values] for name, values in columns.items() if values})


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value


def _sessions(
    columns: Mapping[str, Any], ids: list[str], users: list[str], *, encoded: bool
) -> Iterable[Session | None]:
    titles = _texts(columns["titles"], encoded=encoded)
    for place, title in enumerate(titles):
        if title is None:
            yield None
            continue
        yield Session(
            id=ids[place],
            user_id=users[place],
            title=title,
            metadata=_object(columns["metadata"][place]),
            created_at=_time(columns["created"][place]),
            updated_at=_time(columns["updated"][place]),
            expires_at=_time_or_none(columns["expires"][place]),
            version=columns["versions"][place],
            born=columns["born"][place],
            extra=_object(columns["extra"][place]),
        )


def _messages(
    columns: Mapping[str, Any], sessions: list[str], users: list[str], *, encoded: bool
) -> Iterable[tuple[int, Message]]:
    if not columns["of"]:
        return
    rows = zip(
        columns["of"],
        _texts(columns["ids"], encoded=encoded),
        # Where nobody is named, the session's user.
        _texts(columns["users"], encoded=encoded) or [None] * len(columns["of"]),
        columns["positions"],
        _texts(columns["roles"], encoded=encoded),
        _texts(columns["contents"], encoded=encoded),
        columns["metadata"],
        columns["created"],
        columns["expires"],
        columns["versions"],
        columns["extra"],
        strict=True,
    )
    for place, name, user, position, role, content, metadata, created, expires, version, extra in rows:
        yield (
            place,
            Message(
                id=name,
                session_id=sessions[place - 1],
                user_id=users[place - 1] if user is None else user,
                position=position,
                role=role,
                content=content,
                metadata=_object(metadata),
                created_at=_time(created),
                expires_at=_time_or_none(expires),
                version=version,
                extra=_object(extra),
            ),
        )


def _texts(values: list[Any] | None, *, encoded: bool) -> list[Any]:
    if not encoded:
        return values or []
    return [value if value is None else text.decode(value) for value in values or []]


def _object(written: str | None) -> JsonObject:
    loaded: JsonObject = {} if written is None else text.load(written)
    return loaded


def _time(written: str) -> datetime:
    time = datetime.fromisoformat(written)
    return time if time.tzinfo is UTC else time.astimezone(UTC)


def _time_or_none(written: str | None) -> datetime | None:
    return None if written is None else _time(written)
