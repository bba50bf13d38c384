"""What a chat history store can do for an app."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Self

from chatstore.errors import NotFoundError
from chatstore.models import (
    AppendMessages,
    ChatCommand,
    ChatWritten,
    ClearMessages,
    CreateSession,
    DeleteMessages,
    DeleteSession,
    EditMessage,
    JsonObject,
    Message,
    MessageOrder,
    NewMessage,
    Page,
    PopMessage,
    Session,
    UpdateSession,
    new_id,
)
from chatstore.models.checks import batch_of, check_chat_command

if TYPE_CHECKING:
    from chatstore.identity import UserToken


class ChatHistoryStore(ABC):
    """Sessions and their messages, as an app uses them.

    Every call names the user and sees that user's records only: another's session is answered as one that is not
    there, and so is a session or a message that has expired. Every write is one atomic step. All errors are
    `ChatStoreError`s.
    """

    async def create_session(
        self,
        user_id: str,
        *,
        session_id: str | None = None,
        title: str = "",
        metadata: JsonObject | None = None,
        expires_at: datetime | None = None,
    ) -> Session:
        """Create a session and return it. Idempotent for the same id and content.

        Args:
            user_id: Whose it is.
            session_id: Its id; a new one is made when left out.
            title: What to show for it.
            metadata: A JSON object of the app's own.
            expires_at: When it ceases to exist (UTC); never when left out.

        Raises:
            ConflictError: The id is taken, by another user's session or by one with another title or metadata.
        """
        command = CreateSession(
            user_id=user_id,
            session_id=new_id() if session_id is None else session_id,
            title=title,
            metadata={} if metadata is None else metadata,
            expires_at=expires_at,
        )
        return _session_of(await self._checked(command), command.session_id)

    async def update_session(
        self, user_id: str, session_id: str, *, title: str | None = None, metadata: JsonObject | None = None
    ) -> Session:
        """Change a session's title or metadata (None leaves it as it is) and return the session as it is then.

        Raises:
            NotFoundError: The user has no such session.
        """
        command = UpdateSession(user_id=user_id, session_id=session_id, title=title, metadata=metadata)
        return _session_of(await self._checked(command), session_id)

    async def delete_session(self, user_id: str, session_id: str) -> bool:
        """Delete a session with all of its messages; return whether it was there. Idempotent."""
        written = await self._checked(DeleteSession(user_id=user_id, session_id=session_id))
        return written.change is not None

    async def append(self, user_id: str, session_id: str, messages: NewMessage | Sequence[NewMessage]) -> list[Message]:
        """Append messages at the end of a session, all or none, and return them as stored, in the given order.

        Idempotent by message id: appended again, a message stays where it is. So a call that timed out may be
        repeated with the same objects.

        Raises:
            NotFoundError: The user has no such session.
            ConflictError: An id is taken by a message with other content, or was deleted.
        """
        batch = batch_of(messages, NewMessage, "messages")
        command = AppendMessages(user_id=user_id, session_id=session_id, messages=batch)
        return list((await self._checked(command)).messages)

    async def replace_messages(self, user_id: str, session_id: str, messages: Sequence[NewMessage]) -> list[Message]:
        """Replace all messages of a session by others in one step; return the others as stored.

        Raises:
            NotFoundError: The user has no such session.
            ConflictError: An id was used in this session before.
        """
        batch = batch_of(messages, NewMessage, "messages")
        command = AppendMessages(user_id=user_id, session_id=session_id, messages=batch, replace=True)
        return list((await self._checked(command)).messages)

    async def edit_message(
        self,
        user_id: str,
        session_id: str,
        message_id: str,
        *,
        content: str | None = None,
        metadata: JsonObject | None = None,
    ) -> Message:
        """Change a message's content or metadata (None leaves it as it is) and return it as it is then.

        Raises:
            NotFoundError: The user has no such session, or it has no such message.
        """
        command = EditMessage(
            user_id=user_id,
            session_id=session_id,
            message_id=message_id,
            content=content,
            metadata=metadata,
        )
        return (await self._checked(command)).messages[0]

    async def pop_message(self, user_id: str, session_id: str) -> Message | None:
        """Remove a session's last message and return it; None when it has none. Two calls never get the same one.

        Raises:
            NotFoundError: The user has no such session.
        """
        written = await self._checked(PopMessage(user_id=user_id, session_id=session_id))
        return written.messages[0] if written.messages else None

    async def delete_messages(self, user_id: str, session_id: str, message_ids: Sequence[str]) -> int:
        """Delete messages by id and return how many were there. Idempotent.

        Raises:
            NotFoundError: The user has no such session.
        """
        command = DeleteMessages(
            user_id=user_id, session_id=session_id, message_ids=batch_of(message_ids, str, "message ids")
        )
        written = await self._checked(command)
        return len(written.change.tombstones) if written.change else 0

    async def clear_messages(self, user_id: str, session_id: str) -> None:
        """Delete all messages of a session and keep the session. Idempotent.

        Raises:
            NotFoundError: The user has no such session.
        """
        await self._checked(ClearMessages(user_id=user_id, session_id=session_id))

    async def _checked(self, command: ChatCommand) -> ChatWritten:
        check_chat_command(command)
        return await self.write(command)

    @abstractmethod
    async def write(self, command: ChatCommand) -> ChatWritten:
        """Execute a command in one atomic step; the methods above are made of it.

        Raises:
            NotFoundError, ConflictError: As each of them says.
            UnavailableError: The server did not answer; the write may or may not have happened.
        """

    @abstractmethod
    async def get_session(self, user_id: str, session_id: str) -> Session:
        """Return a session.

        Raises:
            NotFoundError: The user has no such session.
        """

    @abstractmethod
    async def list_sessions(self, user_id: str, *, limit: int = 50, after: str | None = None) -> Page[Session]:
        """Return a user's sessions, newest `updated_at` first (ties by id, descending), a page at a time.

        Args:
            user_id: Whose.
            limit: At most how many.
            after: The `next` of the page before, which any store may have given; None for the first.

        Raises:
            InvalidRecordError: `after` is not the `next` of a page.
        """

    @abstractmethod
    async def messages(
        self, user_id: str, session_id: str, *, after: MessageOrder | None = None, limit: int | None = None
    ) -> list[Message]:
        """Return a session's messages, oldest first.

        Args:
            user_id: Whose session.
            session_id: Which session.
            after: Only those behind this one (`Message.order` of the last one of the page before).
            limit: At most how many; all when None.

        Raises:
            NotFoundError: The user has no such session.
        """

    @abstractmethod
    async def last_messages(
        self, user_id: str, session_id: str, count: int, *, before: MessageOrder | None = None
    ) -> list[Message]:
        """Return the last `count` messages of a session (or the last ones before `before`), oldest first.

        Raises:
            NotFoundError: The user has no such session.
        """

    @abstractmethod
    async def count_messages(self, user_id: str, session_id: str) -> int:
        """Return how many messages a session has.

        Raises:
            NotFoundError: The user has no such session.
        """

    def for_user(self, token: UserToken) -> Self:
        """Return this store for calls that are made with a user's own token; nothing of it need be closed.

        Where the server itself keeps users apart by their tokens, as Supabase does, it is given the token. Elsewhere
        this is the store as it is: `UserChat` names the user in every call.
        """
        del token
        return self

    @abstractmethod
    async def close(self) -> None:
        """Finish what is under way and free what the store holds. Clients that were passed in stay open."""


def _session_of(written: ChatWritten, session_id: str) -> Session:
    if written.session is None:
        raise NotFoundError(f"there is no session {session_id!r} of this user")
    return written.session
