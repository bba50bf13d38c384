"""Sessions of which the framework itself keeps a part in a hash; the rest is in the companion, by names with a colon.

`lua/header_in_hash.lua` parts the one from the other.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from typing import ClassVar

from chatstore.models import JsonObject, Session
from chatstore.redis.layouts.fields import join_extra, json_of, object_of, split_extra, text_of
from chatstore.redis.layouts.json_items import JsonItemChat
from chatstore.redis.layouts.layout import Encoded, Fields, SessionValues

_METADATA = ":metadata"


class HeadedChat(JsonItemChat):
    """A layout whose sessions have a hash of the framework's.

    Attributes:
        header: The fields of the hash that a session's own attributes say.
        title_field: The one that holds the title; one of the companion where the hash has none.
        created_field: The one that says when the session was made.
        created_pattern: What we write there. Another text is kept, under its name in `extra`.
    """

    header: ClassVar[frozenset[str]]
    title_field: ClassVar[str] = ":title"
    created_field: ClassVar[str]
    created_pattern: ClassVar[re.Pattern[bytes]]

    @abstractmethod
    def write_header(self, session: Session) -> dict[str, bytes]:
        """Return the fields that say a session's own attributes."""

    def write_session(self, session: Session) -> Encoded:
        taken = self.header | {name for name in session.extra if name.startswith(":")}
        fields, rest = split_extra(session.extra, taken)
        fields |= self.write_header(session)
        created = session.extra.get(self.created_field)
        if isinstance(created, str):
            fields[self.created_field] = created.encode()
        return Encoded({**fields, **self.change_session(session.title, session.metadata)}, rest)

    def change_session(self, title: str | None, metadata: JsonObject | None) -> Fields:
        fields = {} if title is None else {self.title_field: title.encode()}
        return fields if metadata is None else {**fields, _METADATA: json_of(metadata)}

    def read_session(self, fields: Fields, rest: bytes) -> SessionValues:
        created = fields.get(self.created_field, b"")
        taken = self.header - (
            {self.created_field} if created and not self.created_pattern.fullmatch(created) else set()
        )
        theirs = {name: value for name, value in fields.items() if not name.startswith(":")}
        return SessionValues(
            title=text_of(fields, self.title_field),
            metadata=object_of(fields.get(_METADATA, b""), "metadata"),
            extra=join_extra(theirs, rest, taken),
        )
