"""The options `--chat` and `--documents`, and what a command can do with the stores behind each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from chatstore.errors import ConfigurationError
from chatstore.models import Kind

if TYPE_CHECKING:
    from chatstore.backends import Backends
    from chatstore.interfaces import ChatSide, DocumentSide
    from chatstore.migration import BackfillReport, VerifyReport
    from chatstore.routing import Repairer, Sides

Chat = Annotated[bool, typer.Option("--chat", help="Sessions and messages only.")]
Documents = Annotated[bool, typer.Option("--documents", help="Documents only.")]


@dataclass(frozen=True, slots=True)
class Opened:
    """The two sides of one kind, both of which answer.

    Attributes:
        kind: Which kind.
        backfill: Copies what the old side holds; takes `on_progress`.
        bring_back: Copies what the new side holds to the old one; takes `on_progress`.
        verify: Compares both sides; takes `on_progress`.
        repairer: Merges every marked key.
    """

    kind: Kind
    backfill: Callable[..., Awaitable[BackfillReport]]
    bring_back: Callable[..., Awaitable[BackfillReport]]
    verify: Callable[..., Awaitable[VerifyReport]]
    repairer: Repairer[ChatSide] | Repairer[DocumentSide]


def named(*, chat: bool, documents: bool) -> tuple[Kind, ...]:
    """Return the kinds that the options name; none when neither was given."""
    return tuple(kind for kind, given in ((Kind.CHAT, chat), (Kind.DOCUMENTS, documents)) if given)


def kinds_of(backends: Backends, kinds: Sequence[Kind]) -> Sequence[Kind]:
    """Return the kinds that the options name; when none, those of which the settings have both sides, or else all."""
    return kinds or [kind for kind in Kind if backends.has_new(kind) and backends.has_old(kind)] or tuple(Kind)


async def open_kinds(backends: Backends, kinds: Sequence[Kind], command: str) -> list[Opened]:
    """Return the stores of these kinds, or of both when none is named, once every server has answered.

    Nothing that a command is to do has been done by then, so a server that is away is known before.

    Args:
        backends: Where they come from.
        kinds: What the options name.
        command: The command that asks, for what to do about a missing setting.

    Raises:
        ConfigurationError: A setting is missing.
        UnavailableError: A server is away.
        SchemaError: The schema is not applied.
    """
    opened = []
    for kind in kinds or tuple(Kind):
        try:
            opened.append(await _open(backends, kind))
        except ConfigurationError as error:
            other = next(other for other in Kind if other is not kind)
            if kinds or not (backends.has_old(other) and backends.has_new(other)):
                raise
            raise ConfigurationError(f"{error}\nTo do without {kind}: chatstore {command} --{other}") from error
    return opened


async def _open(backends: Backends, kind: Kind) -> Opened:
    return await (_open_chat(backends) if kind is Kind.CHAT else _open_documents(backends))


async def _open_chat(backends: Backends) -> Opened:
    from chatstore.migration import backfill_chat, verify_chat
    from chatstore.routing import chat_repairer

    sides, progress = await backends.chat_sides(), backends.progress(Kind.CHAT)
    await _ask(sides)
    repairer = chat_repairer(sides, progress=progress)
    return Opened(
        Kind.CHAT,
        partial(backfill_chat, sides.old, sides.new, progress, repair=repairer.run),
        partial(backfill_chat, sides.new, sides.old, progress, repair=repairer.run),
        partial(verify_chat, sides.old, sides.new, progress, repair=repairer.run),
        repairer,
    )


async def _open_documents(backends: Backends) -> Opened:
    from chatstore.migration import backfill_documents, verify_documents
    from chatstore.routing import document_repairer

    sides, progress = await backends.document_sides(), backends.progress(Kind.DOCUMENTS)
    await _ask(sides)
    repairer = document_repairer(sides, progress=progress)
    return Opened(
        Kind.DOCUMENTS,
        partial(backfill_documents, sides.old, sides.new, progress, repair=repairer.run),
        partial(backfill_documents, sides.new, sides.old, progress, repair=repairer.run),
        partial(verify_documents, sides.old, sides.new, progress, repair=repairer.run),
        repairer,
    )


async def _ask(sides: Sides[ChatSide] | Sides[DocumentSide]) -> None:
    """Return when both servers answer; a migration would wait for them."""
    for side in (sides.old, sides.new):
        await side.journal.state()
