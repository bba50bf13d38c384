"""What the person who runs the migration does: in the demo by calls, elsewhere by the command `chatstore`."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import suppress
from datetime import timedelta
from itertools import product
from pathlib import Path

from chatstore.backends import Backends
from chatstore.errors import ChatStoreError
from chatstore.interfaces import ChatSide, DocumentSide
from chatstore.migration import (
    BackfillReport,
    OnProgress,
    VerifyReport,
    backfill_chat,
    backfill_documents,
    verify_chat,
    verify_documents,
)
from chatstore.models import Kind, Side, Stage, utc_now
from chatstore.routing import Sides, chat_repairer, document_repairer
from chatstore.routing.flags.file import Share, StageFlag, with_flag

_YOUNG = timedelta(seconds=1)
_REPAIR_EVERY = 0.5


class Operations:
    """Flags, backfill, verify and repair, of both kinds at once.

    Args:
        chat: The chat stores of both sides.
        documents: The document stores of both sides.
        backends: Where runs write down how far they came.
        flag_file: The file that the app's OpenFeature provider reads the stages from.
    """

    def __init__(
        self, chat: Sides[ChatSide], documents: Sides[DocumentSide], backends: Backends, flag_file: Path
    ) -> None:
        self._chat = chat
        self._documents = documents
        self._progress = {kind: backends.progress(kind) for kind in Kind}
        self._flag_file = flag_file
        self._journals = {
            **{(Kind.CHAT, side): chat[side].journal for side in Side},
            **{(Kind.DOCUMENTS, side): documents[side].journal for side in Side},
        }
        # What is younger is still being written by the app itself.
        self._chat_repairer = chat_repairer(chat, progress=self._progress[Kind.CHAT], grace=_YOUNG)
        self._document_repairer = document_repairer(documents, progress=self._progress[Kind.DOCUMENTS], grace=_YOUNG)

    def set_stage(self, stage: Stage, *, share: Share | None = None) -> None:
        """Set the stage of both kinds: for everybody, or but for a share of the users."""
        text = ""
        for kind in Kind:
            text = with_flag(text, kind, StageFlag(default=stage, share=share))
        draft = self._flag_file.with_suffix(".new")
        draft.write_text(text, encoding="utf-8")
        draft.replace(self._flag_file)  # never half a file

    async def migrate(self, on_progress: OnProgress) -> tuple[BackfillReport, BackfillReport]:
        """Copy what was there before, both kinds side by side."""
        return await asyncio.gather(
            backfill_chat(
                self._chat.old,
                self._chat.new,
                self._progress[Kind.CHAT],
                repair=chat_repairer(self._chat).run,
                on_progress=on_progress,
            ),
            backfill_documents(
                self._documents.old,
                self._documents.new,
                self._progress[Kind.DOCUMENTS],
                repair=document_repairer(self._documents).run,
                on_progress=on_progress,
            ),
        )

    async def verify(self) -> tuple[VerifyReport, VerifyReport]:
        """Compare every record of both sides, both kinds side by side."""
        return await asyncio.gather(
            verify_chat(
                self._chat.old,
                self._chat.new,
                self._progress[Kind.CHAT],
                repair=chat_repairer(self._chat).run,
            ),
            verify_documents(
                self._documents.old,
                self._documents.new,
                self._progress[Kind.DOCUMENTS],
                repair=document_repairer(self._documents).run,
            ),
        )

    async def keep_repaired(self) -> None:
        """Merge marked keys again and again until cancelled, as the repairer beside an app does."""
        await asyncio.gather(
            self._chat_repairer.watch(_REPAIR_EVERY),
            self._document_repairer.watch(_REPAIR_EVERY),
        )

    async def repair_chat(self) -> None:
        """Merge every session that is marked now."""
        await chat_repairer(self._chat).run()

    async def marks(self) -> int:
        """Return how many marks are open; a side that is down is passed over."""
        count = 0
        for journal in self._journals.values():
            with suppress(ChatStoreError):
                count += (await journal.backlog()).marks
        return count

    async def caught_up(self, kinds: Collection[Kind], *, within: float) -> bool:
        """Wait until all that is marked now is merged; return False when that takes too long.

        While people write there always are younger marks: those of the writes under way.
        """
        now = utc_now()
        for _ in range(round(within / _REPAIR_EVERY)):
            with suppress(ChatStoreError):  # a side that does not answer may hold any mark
                backlogs = [await self._journals[kind, side].backlog() for kind, side in product(kinds, Side)]
                if all(backlog.oldest is None or backlog.oldest > now for backlog in backlogs):
                    return True
            await asyncio.sleep(_REPAIR_EVERY)
        return False
