"""Calling chatstore's functions in the database, whichever way they are reached."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from chatstore.errors import UnavailableError
from chatstore.supabase import text


class Functions(ABC):
    """A way to chatstore's functions: the API of a Supabase project, or its database itself.

    Each function takes one JSON text and answers with another, or with null, in one transaction.
    """

    async def call(self, function: str, request: Mapping[str, object] | None = None) -> Any:
        """Call a function and return what it answers.

        Args:
            function: Its name; one of ours, never a caller's text.
            request: What it takes, as JSON.

        Raises:
            ChatStoreError: The request failed; see `translation`.
        """
        answer = await self.ask(function, text.dump(request or {}))
        try:
            return None if answer is None else text.load(answer)
        except (ValueError, TypeError, RecursionError) as error:
            raise self.not_ours() from error

    async def do(self, function: str, request: Mapping[str, object] | None = None) -> None:
        """Call a function that has nothing to tell, as `call` does.

        Raises:
            ChatStoreError: The request failed, or it was not our function that ran.
        """
        await self.do_text(function, text.dump(request or {}))

    async def do_text(self, function: str, request: str) -> None:
        """As `do`, with a request that is JSON already."""
        if await self.ask(function, request) != "done":
            raise self.not_ours()

    @abstractmethod
    async def ask(self, function: str, request: str) -> Any:
        """Call a function with a request that is JSON already, and return the JSON text that it answers.

        A request that Postgres undid because it met another one (a deadlock) is made again.
        """

    @abstractmethod
    def not_ours(self) -> UnavailableError:
        """Return the error to raise for an answer that none of our functions gives."""
