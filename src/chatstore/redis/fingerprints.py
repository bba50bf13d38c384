"""Fingerprints of sessions: the server's, of what it holds, with what else the reading of a session depends on."""

from __future__ import annotations

import hashlib
from importlib.metadata import version

from chatstore.redis.layouts.fields import BadFieldError
from chatstore.redis.scripts import Reply
from chatstore.redis.session_calls import SessionCalls
from chatstore.redis.user_ids import new_user

_RELEASE = version("chatstore")
"""Another release may make something else of the same fields."""


def fingerprint_of(calls: SessionCalls, session_id: bytes, told: Reply) -> str | None:
    """Return the fingerprint of a session, where the server told one.

    Args:
        calls: The calls of the sessions' layout.
        session_id: Which session.
        told: What `fingerprint.lua` returned: the server's part, and whose the session is there.
    """
    if told is None:
        return None
    of_server, user = told
    layout = calls.layout
    try:
        reader = [_RELEASE, layout.name, layout.prefix, layout.index, session_id, user, new_user(calls.users, user)]
    except BadFieldError:
        return None
    return hashlib.blake2b(repr([*reader, of_server]).encode(), digest_size=16).hexdigest()
