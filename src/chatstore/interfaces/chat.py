"""What a chat history store can do: for an app, and for the router and the migrator behind it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime

from chatstore.errors import NotFoundError
from chatstore.interfaces.journal import Journal
from chatstore.models import (
    AppendMessages,
    ChatChange,
    ChatCommand,
    ChatCount,
    ChatWritten,
    ClearMessages,
    CreateSession,
    DeleteMessages,
    DeleteSession,
    EditMessage,
    JsonObject,
    KeyPage,
    Mark,
    Message,
    MessageOrder,
    NewMessage,
    Page,
    PopMessage,
    ScanPage,
    ServerLoad,
    Session,
    Side,
    Swept,
    UpdateSession,
    new_id,
)
from chatstore.models.checks import check_chat_command


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
            session_id=session_id or new_id(),
            title=title,
            metadata=metadata or {},
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
        batch = (messages,) if isinstance(messages, NewMessage) else tuple(messages)
        command = AppendMessages(user_id=user_id, session_id=session_id, messages=batch)
        return list((await self._checked(command)).messages)

    async def replace_messages(self, user_id: str, session_id: str, messages: Sequence[NewMessage]) -> list[Message]:
        """Replace all messages of a session by others in one step; return the others as stored.

        Raises:
            NotFoundError: The user has no such session.
            ConflictError: An id was used in this session before.
        """
        command = AppendMessages(user_id=user_id, session_id=session_id, messages=tuple(messages), replace=True)
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
        command = DeleteMessages(user_id=user_id, session_id=session_id, message_ids=tuple(message_ids))
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

    @abstractmethod
    async def close(self) -> None:
        """Finish what is under way and free what the store holds. Clients that were passed in stay open."""


class ChatSide(ChatHistoryStore):
    """A chat store that can be one side of a migration: what the router and the migrator need of a backend.

    Attributes:
        side: Which side it is; decides the parity of the versions that it gives.
        journal: Where its marks are.
        notes: What this side never stored or does not give back exactly, a sentence each: a migration tells it once.
        space: Which data of its server this side is, where that may hold other data of the kind (a layout, a prefix): a
            cursor of `keys` says nothing of others.
    """

    side: Side
    journal: Journal

    @property
    def notes(self) -> tuple[str, ...]:
        return ()

    @property
    def space(self) -> str:
        return ""

    @abstractmethod
    async def write(self, command: ChatCommand, mark: Mark | None = None) -> ChatWritten:
        """As `ChatHistoryStore.write`; when it changes anything, the mark is set in the same atomic step."""

    @abstractmethod
    async def put(self, changes: Sequence[ChatChange]) -> None:
        """Join changes into this side, as `ChatChange` defines it; one round trip for many.

        Each change is joined in one atomic step: a state that is newer here stays. Idempotent. Changes may be parts
        of one session.

        Raises:
            InvalidRecordError, ConflictError: This side cannot hold one of them; then any number of the others were
                joined. Halve the batch to find it.
            UnavailableError: The server did not answer; any number of them were joined.
        """

    @abstractmethod
    def fetch(
        self, session_ids: Sequence[str], *, message_ids: Sequence[str] | None = None
    ) -> AsyncIterator[ScanPage[ChatChange]]:
        """Yield all that this side knows of some sessions, whosever they are, in parts of bounded size.

        That is the header or the deletion, `cleared`, messages in their order, and tombstones, but nothing that has
        expired; a session that it knows nothing of yields nothing. Every part holds its session's header, so each can
        be joined on its own.

        Args:
            session_ids: Which sessions.
            message_ids: Only these messages and their tombstones (then of one session); all when None.
        """

    @abstractmethod
    def keys(self, cursor: str | None = None) -> AsyncIterator[KeyPage[str]]:
        """Yield the ids of all sessions, in bounded memory; those that are deleted or have expired may be left out.

        A session that is there from the beginning to the end comes at least once; one may come twice.

        Args:
            cursor: Where to go on: the cursor of a page that was yielded before.
        """

    async def starts(self) -> Sequence[str | None]:
        """Return cursors of `keys` at which walks may begin that together yield all sessions; None is the beginning.

        Each of them ends where another one's part begins, so they may run side by side: one on each primary of a Redis
        Cluster. Where there is no such thing there is one start, None.
        """
        return (None,)

    async def fingerprints(self, session_ids: Sequence[str]) -> Mapping[str, str]:
        """Return a fingerprint of each session: as long as it is the same, so is all that `fetch` yields of it.

        The server makes it of what it holds, so no content travels. It means nothing on another side. A session is left
        out when it is not there, or when no fingerprint of it can be told; and so are all, where the server makes none.
        """
        del session_ids
        return {}

    async def proved(self, fingerprints: Mapping[str, str]) -> Mapping[str, int]:
        """Return which sessions hold here what was put with these fingerprints, each with its number of messages.

        A side may remember, of each session that was put with its fingerprint, what it must then hold; it looks at what
        it holds now, record by record. For those that are not returned nothing is said: they may hold it all the same.

        Args:
            fingerprints: By session id, as the other side tells them now.
        """
        del fingerprints
        return {}

    async def scan(self, cursor: str | None = None) -> AsyncIterator[ScanPage[ChatChange]]:
        """Yield every session that exists, with its messages, in bounded memory; deleted and expired ones are left out.

        It is `keys` and `fetch` in one: what those say of what comes, and comes twice, holds here.

        Args:
            cursor: Where to go on: the cursor of a page that was yielded before.
        """
        async for found in self.keys(cursor):
            async for page in self.fetch(found.keys):
                there = tuple(change for change in page.changes if change.session is not None)
                yield ScanPage(there, page.quarantined, None)
            yield ScanPage((), found.quarantined, found.cursor)

    @abstractmethod
    async def count(self) -> ChatCount:
        """Return how many sessions and messages this side holds; those that expired and are not swept yet may count."""

    async def sweep(self, *, limit: int = 10_000) -> Swept:
        """Remove what has expired, up to `limit` records; return what was removed.

        It may run beside anything else, and passes over what others are writing. The join goes on to know what it must:
        nothing that was swept comes back by a late `put`. Where the server removes by itself what has expired, there is
        nothing to sweep.

        Raises:
            UnavailableError: The server did not answer; the records may have been removed.
        """
        del limit
        return Swept()

    async def load(self) -> ServerLoad | None:
        """Return how busy the server is now; None where that cannot be told.

        It costs the server next to nothing, so that it may be asked twice a second beside anything else.

        Raises:
            UnavailableError: The server did not answer.
        """
        return None


def _session_of(written: ChatWritten, session_id: str) -> Session:
    if written.session is None:
        raise NotFoundError(f"there is no session {session_id!r} of this user")
    return written.session
