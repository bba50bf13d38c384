"""Which messages the server tells of, where each has a key: the search index may not know them."""

from __future__ import annotations

from collections import OrderedDict

from chatstore.redis.layouts.keyed_chat import KeyedChat
from chatstore.redis.scripts import Call
from chatstore.redis.session_calls import SessionCalls

_SESSIONS, _MESSAGES = 1000, 200


class KeyedEvents:
    """Remembers of which messages the server told of late, until their session is written down.

    Args:
        calls: The calls of the sessions' layout.
        layout: Whose.
    """

    def __init__(self, calls: SessionCalls, layout: KeyedChat) -> None:
        self._calls = calls
        self._layout = layout
        self._met: OrderedDict[bytes, dict[bytes, None]] = OrderedDict()

    def record_of(self, key: bytes) -> bytes | None:
        """Return the session that a message's key is of, and remember the message."""
        parted = self._layout.parted(key)
        if parted is None:
            return None
        met = self._met.setdefault(parted.session_id, {})
        self._met.move_to_end(parted.session_id)
        if len(met) < _MESSAGES:
            met[parted.message_id] = None
        if len(self._met) > _SESSIONS:
            self._met.popitem(last=False)
        return parted.session_id

    def adopt(self, session_id: bytes) -> Call:
        """Return the call that writes down a session with what was remembered of it."""
        return self._calls.found(session_id, list(self._met.pop(session_id, {})), whole=True)
