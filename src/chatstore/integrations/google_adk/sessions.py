"""Sessions for Google's ADK: a `BaseSessionService` over any chat store.

    service = ChatstoreSessionService(stores.chat)
    runner = Runner(app_name="support", agent=agent, session_service=service)

An event is one message, whose `extra` has all of it. A session's state is not written anew with each event: it is what
the session began with, and what its events changed, in their order. So appending an event is one atomic step.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from chatstore.errors import ConfigurationError, ConflictError, NotFoundError, UnsupportedError
from chatstore.integrations.google_adk.events import MISSING, event_of, new_message, plain_object
from chatstore.integrations.named_user import chat_of
from chatstore.integrations.reach import Reach
from chatstore.interfaces import ChatHistoryStore, UserChat
from chatstore.models import JsonValue, Message, new_id
from chatstore.models import Session as Stored
from chatstore.models.values import check_id, check_object

try:
    from google.adk.errors.already_exists_error import AlreadyExistsError
    from google.adk.errors.session_not_found_error import SessionNotFoundError
    from google.adk.events.event import Event
    from google.adk.sessions.base_session_service import BaseSessionService, GetSessionConfig, ListSessionsResponse
    from google.adk.sessions.session import Session
    from google.adk.sessions.state import State
except ImportError as error:
    raise ImportError(MISSING) from error

if TYPE_CHECKING:
    from chatstore.sync import BlockingChatHistory

__all__ = ["ChatstoreSessionService"]

R = TypeVar("R")

_OURS = "google_adk"
"""The name in a session's metadata under which its app and what its state began with are."""

_SHARED = (State.APP_PREFIX, State.USER_PREFIX)


class ChatstoreSessionService(BaseSessionService):
    """The sessions of an ADK app, kept as chatstore's.

    A session keeps the id that it is given; ids are unique over all users and apps. Another user's session, another
    app's, and one that ADK did not create are answered as ones that are not there. All errors are `ChatStoreError`s,
    but for the two that ADK names. Nothing needs to be closed but the stores.

    State is kept a session: keys that begin with `app:` or `user:` are an `UnsupportedError`.

    Args:
        chat: A chat store, the router of `chatstore.open()` for one, or its blocking facade.

    Raises:
        ConfigurationError: It is one user's alone.
    """

    def __init__(self, chat: ChatHistoryStore | BlockingChatHistory) -> None:
        if isinstance(chat, UserChat):
            raise ConfigurationError("ADK says in each call whose session it is: give the `chat` of the stores")
        chat_of(chat, "anybody")  # refuses what is one user's
        self._reach = Reach[ChatHistoryStore](chat, lambda store: store)

    async def create_session(
        self,
        *,
        app_name: str,
        user_id: str,
        state: dict[str, Any] | None = None,
        session_id: str | None = None,
    ) -> Session:
        """Create a session and return it.

        Args:
            app_name: Of which app.
            user_id: Whose it is.
            state: What its state begins with: JSON. Keys that begin with `temp:` are left out, as ADK does.
            session_id: Its id; a new one is made when left out.

        Raises:
            AlreadyExistsError: The id is taken, be it by another user's session or another app's.
            UnsupportedError: A key of the state begins with `app:` or `user:`.
            InvalidRecordError: An id is none, or the state is no JSON.
        """
        begun = _kept(state or {})
        name = (session_id or "").strip() or new_id()
        # With an id of its own, so that of two that create the same session at once only one does.
        ours: dict[str, JsonValue] = {"app": check_id(app_name, "app's name"), "state": begun, "created": new_id()}
        try:
            stored = await self._of(user_id, lambda chat: chat.create_session(session_id=name, metadata={_OURS: ours}))
        except ConflictError as taken:
            raise AlreadyExistsError(f"Session with id {name} already exists.") from taken
        return _session(stored, app_name, begun)

    async def get_session(
        self, *, app_name: str, user_id: str, session_id: str, config: GetSessionConfig | None = None
    ) -> Session | None:
        """Return a session with its state and its events, the oldest first; None when there is no such session.

        All of its events are read, as its state comes of them, however few are wanted.

        Raises:
            UnsupportedError: ADK cannot read one of the events.
        """

        async def read(chat: UserChat) -> tuple[Stored, list[Message]] | None:
            try:
                stored = await chat.get_session(session_id.strip())
                return None if _app_of(stored) != app_name else (stored, await chat.messages(stored.id))
            except NotFoundError:
                return None

        found = await self._of(user_id, read)
        if found is None:
            return None
        stored, messages = found
        events = [event_of(message) for message in messages]
        state = plain_object(_ours(stored).get("state", {}))
        for event in events:
            state.update(event.actions.state_delta)
        return _session(stored, app_name, state, _wanted(events, config or GetSessionConfig()))

    async def list_sessions(self, *, app_name: str, user_id: str | None = None) -> ListSessionsResponse:
        """Return a user's sessions of an app, without events and state, the last one written last.

        Raises:
            UnsupportedError: No user is named: a user's calls see that user's sessions only.
        """
        if user_id is None:
            raise UnsupportedError("the sessions of all users cannot be listed: give `user_id`")

        async def read(chat: UserChat) -> list[Stored]:
            found: dict[str, Stored] = {}  # one that is written meanwhile may come twice
            after = None
            while True:
                page = await chat.list_sessions(limit=500, after=after)
                found |= {stored.id: stored for stored in page.items if _app_of(stored) == app_name}
                if (after := page.next) is None:
                    return sorted(found.values(), key=lambda stored: (stored.updated_at, stored.id))

        return ListSessionsResponse(
            sessions=[_session(stored, app_name, {}) for stored in await self._of(user_id, read)]
        )

    async def delete_session(self, *, app_name: str, user_id: str, session_id: str) -> None:
        """Delete a session with all of its events. Idempotent; another app's is left alone."""

        async def delete(chat: UserChat) -> None:
            try:
                stored = await chat.get_session(session_id.strip())
            except NotFoundError:
                return
            if _app_of(stored) == app_name:
                await chat.delete_session(stored.id)

        await self._of(user_id, delete)

    async def append_event(self, session: Session, event: Event) -> Event:
        """Append an event to a session, in one atomic step, and to the object that is given.

        Idempotent by the event's id. A partial event is kept nowhere, as ADK wants it; nor are keys of the state that
        begin with `temp:`.

        Raises:
            SessionNotFoundError: There is no such session (any more).
            UnsupportedError: The event changes a key of the state that begins with `app:` or `user:`.
            InvalidRecordError: The event holds what JSON cannot, or would not read back.
            ConflictError: The session has another event of that id.
        """
        if event.partial:
            return event
        kept = _kept(event.actions.state_delta)
        actions = event.actions.model_copy(update={"state_delta": kept})
        new = new_message(event.model_copy(update={"actions": actions}))

        async def append(chat: UserChat) -> None:
            if _app_of(await chat.get_session(session.id)) != session.app_name:
                raise NotFoundError(f"there is no session {session.id!r} of this app")
            await chat.append(session.id, new)

        try:
            await self._of(session.user_id, append)
        except NotFoundError as missing:
            raise SessionNotFoundError(f"Session {session.id} not found.") from missing
        if not any(known.id == event.id for known in session.events):
            await super().append_event(session, event)
        session.last_update_time = event.timestamp
        return event

    async def _of(self, user_id: str, call: Callable[[UserChat], Awaitable[R]]) -> R:
        return await self._reach.wait(lambda store: call(chat_of(store, user_id)))


def _kept(state: Mapping[str, Any]) -> dict[str, JsonValue]:
    """Return what is kept of a state, or of a change of it."""
    shared = [name for name in state if name.startswith(_SHARED)]
    if shared:
        raise UnsupportedError(
            f"the state's {shared[0]!r} would be shared by sessions, and state is kept a session here: take a key "
            "without that prefix, or keep what is shared elsewhere"
        )
    kept = {name: value for name, value in state.items() if not name.startswith(State.TEMP_PREFIX)}
    check_object(kept, "session's state")
    return kept


def _ours(stored: Stored) -> Mapping[str, Any]:
    ours = stored.metadata.get(_OURS)
    return ours if isinstance(ours, Mapping) else {}


def _app_of(stored: Stored) -> object:
    return _ours(stored).get("app")


def _wanted(events: list[Event], config: GetSessionConfig) -> list[Event]:
    if config.num_recent_events is not None:
        events = events[-config.num_recent_events :] if config.num_recent_events else []
    if config.after_timestamp is not None:
        events = [event for event in events if event.timestamp >= config.after_timestamp]
    return events


def _session(stored: Stored, app_name: str, state: Mapping[str, Any], events: Sequence[Event] = ()) -> Session:
    return Session(
        id=stored.id,
        app_name=app_name,
        user_id=stored.user_id,
        state=dict(state),
        events=list(events),
        last_update_time=(stored.updated_at - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds(),
    )
