"""The journal in Supabase's Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from chatstore.interfaces import Journal
from chatstore.models import Backlog, Mark, MigrationState, Stage
from chatstore.supabase.client import ServiceClient, require_service
from chatstore.supabase.wire import mark_from_row, mark_to_row, to_time_or_none


class SupabaseJournal(Journal):
    """The marks of the chat writes that reached Supabase first, in a schema that the API does not show.

    Args:
        client: A client with the secret key: no user's token reaches the journal but to set the mark of a write.

    Raises:
        ConfigurationError: The client is a user's.
    """

    def __init__(self, client: ServiceClient) -> None:
        self._client = require_service(client, "the journal in Supabase")

    async def add(self, marks: Sequence[Mark]) -> None:
        await self._client.do("chatstore_add_marks", {"marks": [mark_to_row(mark) for mark in marks]})

    async def clear(self, marks: Sequence[Mark]) -> None:
        await self._client.do("chatstore_clear_marks", {"tokens": [mark.token for mark in marks]})

    async def clear_alone(self, marks: Sequence[Mark], own: Sequence[Mark] = ()) -> Sequence[Mark]:
        request = {
            "marks": [{"token": mark.token, "user_id": mark.user_id, "key": mark.key} for mark in marks],
            "known": [mark.token for mark in (*marks, *own)],
        }
        left = set(await self._client.call("chatstore_clear_marks_alone", request))
        return [mark for mark in marks if mark.token in left]

    async def marks(self, *, limit: int, after: Mark | None = None) -> Sequence[Mark]:
        behind = {} if after is None else {"after": after.at.isoformat(), "token": after.token}
        rows = await self._client.call("chatstore_marks", {"limit": limit, **behind})
        return [mark_from_row(row) for row in rows]

    async def marks_of(self, user_id: str, keys: Sequence[str] | None = None) -> Sequence[Mark]:
        only = {} if keys is None else {"keys": list(keys)}
        rows = await self._client.call("chatstore_marks_of", {"user_id": user_id, **only})
        return [mark_from_row(row) for row in rows]

    async def backlog(self) -> Backlog:
        row = await self._client.call("chatstore_backlog")
        return Backlog(row["marks"], to_time_or_none(row["oldest"]))

    async def state(self) -> MigrationState:
        row = await self._client.call("chatstore_migration")
        if row is None:
            return MigrationState()
        return MigrationState(
            journal_open=row["journal_open"],
            backfilled_at=to_time_or_none(row["backfilled_at"]),
            verified_at=to_time_or_none(row["verified_at"]),
            differed_at=to_time_or_none(row["differed_at"]),
            stage=None if row["stage"] is None else Stage(row["stage"]),
            way_back_closed=row["way_back_closed"],
        )

    async def remember(
        self,
        *,
        journal_open: bool | None = None,
        backfilled_at: datetime | None = None,
        verified_at: datetime | None = None,
        differed_at: datetime | None = None,
        stage: Stage | None = None,
        way_back_closed: bool | None = None,
    ) -> None:
        await self._client.do(
            "chatstore_remember",
            {
                "journal_open": journal_open,
                "backfilled_at": None if backfilled_at is None else backfilled_at.isoformat(),
                "verified_at": None if verified_at is None else verified_at.isoformat(),
                "differed_at": None if differed_at is None else differed_at.isoformat(),
                "stage": stage,
                "way_back_closed": way_back_closed,
            },
        )

    async def forget_state(self) -> None:
        await self._client.do("chatstore_forget")
