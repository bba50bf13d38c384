"""Sessions and messages: what they are, how a caller asks to change them, and what a change did."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, TypeAlias

from chatstore.models.values import JsonObject, new_id, utc_now


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A conversation of one user.

    Attributes:
        id: The app's own string, never rewritten.
        user_id: Whose it is.
        title: What the app shows for it; may be empty.
        metadata: The app's own JSON object.
        created_at: When it was created (UTC).
        updated_at: When it, or one of its messages, was last written (UTC). Lists are ordered by it.
        expires_at: When it ceases to exist (UTC), where the layout says so (a Redis TTL).
        version: Grows with every change of the title, the metadata or the expiry; see `models.versions`.
        born: The version of its creation: which life of the id this is. 0 for one that chatstore did not create.
        extra: What the layout held beside these, by the layout's own names; carried along unchanged.
    """

    id: str
    user_id: str
    title: str = field(default="", repr=False)
    metadata: JsonObject = field(default_factory=dict, repr=False)
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None = None
    version: int = 0
    born: int = 0
    extra: JsonObject = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn in a session.

    Attributes:
        id: The app's own string, unique in its session.
        session_id: The session that it belongs to.
        user_id: Whose session that is.
        position: Its place in the session. Not always unique: the order is by `(position, id)`.
        role: Who speaks: `user`, `assistant`, `system`, `tool`, or any other string that the app uses.
        content: The text.
        metadata: The app's own JSON object.
        created_at: When it was created (UTC).
        expires_at: When it ceases to exist (UTC); None: with its session only. Every edit keeps it.
        version: Grows with every edit; 0 for one that was there before chatstore.
        extra: What the layout held beside these (tool calls, parts, an embedding, …); carried along unchanged.
    """

    id: str
    session_id: str
    user_id: str
    position: int
    role: str
    content: str = field(repr=False)
    metadata: JsonObject = field(default_factory=dict, repr=False)
    created_at: datetime
    expires_at: datetime | None = None
    version: int = 0
    extra: JsonObject = field(default_factory=dict, repr=False)

    @property
    def order(self) -> MessageOrder:
        """What the messages of a session are sorted by."""
        return (self.position, self.id)


MessageOrder: TypeAlias = tuple[int, str]
"""Where a message stands in its session: its position, then its id."""


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to append. Its id is made with it, so appending the same object again changes nothing.

    Attributes: as of `Message`.
    """

    role: str
    content: str = field(repr=False)
    id: str = field(default_factory=new_id, kw_only=True)
    metadata: JsonObject = field(default_factory=dict, kw_only=True, repr=False)
    created_at: datetime = field(default_factory=utc_now, kw_only=True)
    expires_at: datetime | None = field(default=None, kw_only=True)
    extra: JsonObject = field(default_factory=dict, kw_only=True, repr=False)


# What a caller may ask for. Each is executed by a store in one atomic step.


@dataclass(frozen=True, slots=True, kw_only=True)
class _SessionCommand:
    user_id: str
    session_id: str
    at: datetime = field(default_factory=utc_now)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateSession(_SessionCommand):
    """Create a session. Repeated with the same content it changes nothing."""

    op: ClassVar[str] = "create"
    title: str = field(default="", repr=False)
    metadata: JsonObject = field(default_factory=dict, repr=False)
    expires_at: datetime | None = None
    extra: JsonObject = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateSession(_SessionCommand):
    """Change a session's title, its metadata, or both; None leaves a field as it is."""

    op: ClassVar[str] = "update"
    title: str | None = field(default=None, repr=False)
    metadata: JsonObject | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteSession(_SessionCommand):
    """Delete a session with all of its messages."""

    op: ClassVar[str] = "delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendMessages(_SessionCommand):
    """Append messages in the given order; with `replace`, remove all that were there in the same step."""

    op: ClassVar[str] = "append"
    messages: tuple[NewMessage, ...]
    replace: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EditMessage(_SessionCommand):
    """Change a message's content, its metadata, or both; None leaves a field as it is."""

    op: ClassVar[str] = "edit"
    message_id: str
    content: str | None = field(default=None, repr=False)
    metadata: JsonObject | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PopMessage(_SessionCommand):
    """Remove the last message of a session and return it. Two at once never get the same one."""

    op: ClassVar[str] = "pop"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteMessages(_SessionCommand):
    """Delete messages by id; ids that are not there are passed over."""

    op: ClassVar[str] = "delete_messages"
    message_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearMessages(_SessionCommand):
    """Delete all messages of a session and keep the session."""

    op: ClassVar[str] = "clear"


ChatCommand: TypeAlias = (
    CreateSession
    | UpdateSession
    | DeleteSession
    | AppendMessages
    | EditMessage
    | PopMessage
    | DeleteMessages
    | ClearMessages
)
"""A write on a session, which a side does in one step."""


# What a write did, or what a side knows: the state that one side hands to the other.


@dataclass(frozen=True, slots=True)
class MessageTombstone:
    """A message that was deleted, and the version of its deletion."""

    id: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatChange:
    """A part of one session's state, to be joined into the other side's.

    Joining is commutative, associative and idempotent (a state-based CRDT; Shapiro et al. 2011), so changes may
    arrive late, twice, in parts and in any order, and both sides end equal:

    - `deleted` is the greater of both, and final: what belongs to a life that was born before it is gone, header and
      messages, also what was written on the other side after the deletion and unaware of it. A session that is created
      again is another life, which nothing of an earlier one can reach. A life that has expired ends when it meets one
      that was born later;
    - the session is the newer of both by `version`; `updated_at` and `born` are the greater of both, whichever won;
    - `cleared` is the greater of both: messages with a smaller version are gone, and stay gone;
    - a message is the newer of its states by `version`; one that has a tombstone is gone, whatever its version.
      Tombstones end with the life of the session;
    - what has expired, session or message, is as if it were not there, and leaves no tombstone: where the newest state
      of a message has expired, there is no such message, and the same version with a later expiry takes its place. That
      there was a life of a session that expired stays known, so that its deletion is written down when the id is used
      again.

    Attributes:
        session_id: Which session.
        user_id: Whose it is.
        session: Its header as it was when the change was made; None when it was deleted. What else the
            change holds is of its life.
        deleted: The version of the session's newest deletion; 0 when it was never deleted.
        cleared: Messages with a version smaller than this are deleted; 0 for none.
        messages: Messages to add, or newer states of them.
        tombstones: Messages that were deleted one by one.
        fingerprint: Of the state that was read, see `ChatSide.fingerprints`, where this change holds all of the session
            and the side that it was read from can tell; both in one atomic step. None elsewhere.
    """

    session_id: str
    user_id: str
    session: Session | None
    deleted: int = 0
    cleared: int = 0
    messages: tuple[Message, ...] = ()
    tombstones: tuple[MessageTombstone, ...] = ()
    fingerprint: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatWritten:
    """What a command did on the side that executed it.

    Attributes:
        change: What to hand to the other side; None when the command found nothing to change.
        session: The session's header after the command; None when there is none.
        messages: The messages that the command concerns, as stored: appended, edited, or popped.
    """

    change: ChatChange | None
    session: Session | None
    messages: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True)
class ChatCount:
    """How many records a side holds, over all users."""

    sessions: int
    messages: int

    def __add__(self, other: ChatCount) -> ChatCount:
        return ChatCount(self.sessions + other.sessions, self.messages + other.messages)
