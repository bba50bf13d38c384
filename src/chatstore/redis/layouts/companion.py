"""Sessions in a hash of ours, for layouts that have no place for a session's title, metadata and user.

The hash holds user, title, metadata (JSON) and extra (JSON).
"""

from __future__ import annotations

from chatstore.models import JsonObject, Session
from chatstore.redis.layouts.fields import json_of, object_of, text_of
from chatstore.redis.layouts.layout import ChatLayout, Encoded, Fields, SessionValues


class CompanionChat(ChatLayout):
    """A layout whose sessions are in a hash of ours; what its messages are, a subclass says."""

    def write_session(self, session: Session) -> Encoded:
        fields = {"user": session.user_id.encode(), **self.change_session(session.title, session.metadata)}
        return Encoded(with_extra(fields, session.extra))

    def change_session(self, title: str | None, metadata: JsonObject | None) -> Fields:
        fields = {} if title is None else {"title": title.encode()}
        return fields if metadata is None else {**fields, "metadata": json_of(metadata)}

    def read_session(self, fields: Fields, rest: bytes) -> SessionValues:  # noqa: ARG002 - all is in the fields
        return SessionValues(
            title=text_of(fields, "title"),
            metadata=object_of(fields.get("metadata", b""), "metadata"),
            extra=object_of(fields.get("extra", b""), "extra"),
        )

    def message_key(self, session_id: bytes, message_id: bytes) -> bytes:
        return b"%s%s#%s" % (self.prefix, session_id, message_id)


def with_extra(fields: dict[str, bytes], extra: JsonObject) -> Fields:
    """Return the fields with the extra among them, if there is any."""
    return {**fields, "extra": json_of(extra)} if extra else fields
