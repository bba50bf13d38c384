"""What the two sides say of themselves, when one of them may be away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from chatstore.backends import Backends
from chatstore.errors import ChatStoreError, ConfigurationError, UnavailableError
from chatstore.interfaces import ChatSide, DocumentSide, Journal
from chatstore.models import Backlog, Kind, MigrationState, Side
from chatstore.routing.recorded import combined


@dataclass(frozen=True, slots=True)
class Sight:
    """What one side said.

    Attributes:
        journal: Its journal; None when it did not answer.
        backlog: What that holds.
        state: What it remembers of the migration.
        error: Why it did not answer; None when it did.
    """

    journal: Journal | None
    backlog: Backlog
    state: MigrationState = field(default_factory=MigrationState)
    error: ChatStoreError | None = None


@dataclass(frozen=True, slots=True)
class View:
    """What is known of one kind's migration.

    Attributes:
        state: What the journals that answered remember, taken together.
        sides: What each side said.
    """

    state: MigrationState
    sides: Mapping[Side, Sight]

    @property
    def journals(self) -> list[Journal]:
        """The journals that answered."""
        return [sight.journal for sight in self.sides.values() if sight.journal is not None]

    def require(self, *sides: Side) -> None:
        """Check that these sides answered.

        Raises:
            UnavailableError: One did not.
        """
        for side in sides:
            error = self.sides[side].error
            if error is not None:
                raise UnavailableError(f"the {side} side must be asked first: {error}") from error


async def look(backends: Backends, kind: Kind) -> View:
    """Ask both sides of a kind.

    Raises:
        ConfigurationError: A setting is missing.
        UnavailableError: Neither side answers.
    """
    sides = {side: await _look(backends, kind, side) for side in Side}
    if all(sight.error is not None for sight in sides.values()):
        raise UnavailableError("\n".join(f"{side} side: {sight.error}" for side, sight in sides.items()))
    return View(combined([sight.state for sight in sides.values()]), sides)


async def _look(backends: Backends, kind: Kind, side: Side) -> Sight:
    try:
        store = await _open(backends, kind, side)
        return Sight(store.journal, await store.journal.backlog(), await store.journal.state())
    except ConfigurationError:
        raise
    except ChatStoreError as error:
        return Sight(None, Backlog(0, None), error=error)


async def _open(backends: Backends, kind: Kind, side: Side) -> ChatSide | DocumentSide:
    match kind, side:
        case Kind.CHAT, Side.OLD:
            return await backends.old_chat()
        case Kind.CHAT, Side.NEW:
            return await backends.new_chat()
        case Kind.DOCUMENTS, Side.OLD:
            return await backends.old_documents()
        case _:
            return await backends.new_documents()
