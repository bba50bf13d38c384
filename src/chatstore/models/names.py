"""The names of records in reports and in quarantine: readable, and never the same for two records."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from chatstore.models.chat import Message, Session
from chatstore.models.documents import DocumentKey


@dataclass(frozen=True, slots=True)
class ChatKey:
    """Names a session, or a message in it, among those of all users.

    Attributes:
        session_id: Which session.
        message_id: Which of its messages; None for the session itself.
    """

    session_id: str
    message_id: str | None = None

    @classmethod
    def of(cls, record: Session | Message) -> ChatKey:
        """Return the key of a record."""
        return cls(record.id) if isinstance(record, Session) else cls(record.session_id, record.id)

    @property
    def session(self) -> ChatKey:
        """The key of the session that it lies in."""
        return ChatKey(self.session_id)

    def __str__(self) -> str:
        session = f"session/{_quoted(self.session_id)}"
        return session if self.message_id is None else f"{session}/message/{_quoted(self.message_id)}"


def document_name(key: DocumentKey) -> str:
    """Return the name of a document: `document/u1/d1`."""
    return f"document/{_quoted(key.user_id)}/{_quoted(key.id)}"


def _quoted(part: str) -> str:
    return quote(part, safe="", errors="surrogatepass")
