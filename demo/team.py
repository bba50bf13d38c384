"""Teammates: people who write into the same session at the same time, through different processes of the app."""

from __future__ import annotations

import asyncio
from random import Random

from chatstore.errors import ChatStoreError
from chatstore.models import NewMessage
from chatstore.routing import ChatRouter
from demo.ledger import Effect, LedgerWriter, StaleReadError, What
from demo.material import dialogues

TEAM = "team@example.com"


class Teammate:
    """Appends to one of the team's sessions after the other, and looks whether its own messages stand in order.

    Args:
        name: Who it is in the team.
        chat: The app's chat store.
        ledger: Where every call is written down.
        random: Decides what is said.
        pause: Seconds between two messages, on average.
    """

    def __init__(self, name: str, chat: ChatRouter, ledger: LedgerWriter, random: Random, *, pause: float) -> None:
        self._name = name
        self._chat = chat
        self._ledger = ledger
        self._random = random
        self._pause = pause
        self._said: dict[str, list[str]] = {}

    async def live(self, stop: asyncio.Event) -> None:
        """Take part until `stop`."""
        with self._ledger.call("list_sessions", TEAM, self._name):
            sessions = (await self._chat.list_sessions(TEAM)).items
        while not stop.is_set():
            session_id = self._random.choice(sessions).id
            try:
                await self._say(session_id)
                await self._read_back(session_id)
            except (ChatStoreError, StaleReadError):
                self._said.pop(session_id, None)
            await asyncio.sleep(self._random.expovariate(1 / self._pause))

    async def _say(self, session_id: str) -> None:
        message = NewMessage("user", self._random.choice(self._random.choice(dialogues()).turns))
        effect = Effect(what=What.MESSAGE, id=message.id, value=message.content, session_id=session_id)
        with self._ledger.call("append", TEAM, self._name, [effect]):
            await self._chat.append(TEAM, session_id, message)
        self._said.setdefault(session_id, []).append(message.id)

    async def _read_back(self, session_id: str) -> None:
        said = self._said[session_id]
        with self._ledger.call("messages", TEAM, self._name):
            held = [message.id for message in await self._chat.messages(TEAM, session_id)]
            if [name for name in held if name in set(said)] != said:
                raise StaleReadError("one's own messages are not as one wrote them")
