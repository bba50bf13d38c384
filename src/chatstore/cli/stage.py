"""`chatstore stage`: shows or sets the stage, for teams without a flag service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from chatstore.cli.output import AsJson, answer, say
from chatstore.cli.running import run
from chatstore.errors import ConfigurationError, StaleSideError
from chatstore.models import Kind, Side, Stage
from chatstore.models.values import check_id

if TYPE_CHECKING:
    from chatstore.cli.sides import View
    from chatstore.routing.flags.file import StageFlag
    from chatstore.settings import Settings

_CLEARED_AT_ONCE = 500

_Kind = Annotated[Kind | None, typer.Argument(help="Whose stage; both are shown when left out.")]
_Stage = Annotated[Stage | None, typer.Argument(help="The stage to set; it is shown when left out.")]
_Percent = Annotated[
    int | None, typer.Option("--percent", metavar="N", min=0, max=100, help="For so many of 100 users only.")
]
_Users = Annotated[list[str] | None, typer.Option("--user", metavar="ID", help="For this user only; may be repeated.")]
_Close = Annotated[
    bool, typer.Option("--close-way-back", help="With complete: no longer keep what a way back would need.")
]
_Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Move:
    """What was asked for."""

    kind: Kind
    stage: Stage
    percent: int | None
    users: tuple[str, ...]
    close_way_back: bool

    @property
    def of_everybody(self) -> bool:
        return self.percent is None and not self.users

    def apply(self, before: StageFlag) -> StageFlag:
        """Return the flag as it is to be."""
        from chatstore.routing.flags.file import StageFlag

        if self.users:
            return before.for_users(self.stage, self.users)
        if self.percent is not None:
            return before.for_share(self.stage, self.percent)
        return StageFlag(default=self.stage)

    def goal(self, before: StageFlag) -> Stage:
        """Return the stage that users go to: when the share shrinks, that is the one of all the others."""
        if self.percent is not None and before.share is not None and self.percent < before.share.percent:
            return before.default
        return self.stage


def register(app: typer.Typer) -> None:
    """Add the command to a program."""
    app.command()(stage)


def stage(
    kind: _Kind = None,
    stage: _Stage = None,
    *,
    percent: _Percent = None,
    user: _Users = None,
    close_way_back: _Close = False,
    yes: _Yes = False,
    as_json: AsJson = False,
) -> None:
    """Show or set the stage in the flag file.

    The file is the one of CHATSTORE_FLAG_FILE, in the format of flagd; apps that read it follow within a second. A
    stage is set for everybody; with --percent for a part of the users, always the same ones first, while the rest keeps
    its stage; with --user for some. A move that could show anybody stale data is refused.

    Example:  chatstore stage chat live --percent 10
    """
    users = tuple(user or ())
    if kind is None or stage is None:
        if percent is not None or users or close_way_back:
            raise typer.BadParameter("give the stage that is to be set, as in: chatstore stage chat live --percent 10")
        _show(tuple(Kind) if kind is None else (kind,), as_json=as_json)
        return
    move = _Move(kind=kind, stage=stage, percent=percent, users=users, close_way_back=close_way_back)
    _check(move)
    if close_way_back and not yes:
        _confirm(kind)
    flag = _set_alone(move)
    _tell({kind: flag}, as_json=as_json)


def _set_alone(move: _Move) -> StageFlag:
    from chatstore.cli.flags import flag_file_held
    from chatstore.settings import load_settings

    settings = load_settings()
    # Before the event loop runs, so that Ctrl-C ends the waiting.
    with flag_file_held(settings):
        return run(_set(move, settings), afterwards="the stage may be set already: chatstore stage shows it")


def _check(move: _Move) -> None:
    if move.percent is not None and move.users:
        raise typer.BadParameter("--percent and --user cannot be set at once: call it twice")
    if move.close_way_back and (move.stage is not Stage.COMPLETE or not move.of_everybody):
        raise typer.BadParameter("--close-way-back goes with the stage complete, for everybody")
    for user in move.users:
        check_id(user, "user id")


def _confirm(kind: Kind) -> None:
    question = f"Close the way back for {kind}? From then on, nothing that is written can be brought back to Redis"
    try:
        agreed = typer.confirm(question, err=True)
    except typer.Abort:
        raise ConfigurationError("nobody is there to answer: give --yes to close the way back") from None
    if not agreed:
        raise ConfigurationError("nothing was changed")


def _show(kinds: Sequence[Kind], *, as_json: bool) -> None:
    from chatstore.cli.flags import read_flag
    from chatstore.settings import load_settings, require

    settings = load_settings()
    require(settings, "flag_file")
    _tell({kind: read_flag(settings, kind) for kind in kinds}, as_json=as_json)


def _tell(flags: Mapping[Kind, StageFlag | None], *, as_json: bool) -> None:
    from chatstore.cli.flags import as_document, describe

    document = {kind: None if flag is None else as_document(flag) for kind, flag in flags.items()}
    answer(document, (f"{kind}: {describe(flag)}" for kind, flag in flags.items()), as_json=as_json)


async def _set(move: _Move, settings: Settings) -> StageFlag:
    from chatstore.backends import Backends
    from chatstore.cli.flags import read_flag, write_flag
    from chatstore.cli.sides import look
    from chatstore.routing.flags.file import StageFlag

    async with Backends(settings) as backends:
        view = await look(backends, move.kind)
        # Without a flag, the router serves what is recorded, else what is configured.
        before = read_flag(settings, move.kind) or StageFlag(default=view.state.stage or settings.stage)
        after = move.apply(before)
        _allow(move, before, view)
        write_flag(settings, move.kind, after)
        if move.of_everybody:
            await _record(move.stage, view)
        if move.close_way_back:
            await _close_way_back(view)
    return after


def _allow(move: _Move, before: StageFlag, view: View) -> None:
    from chatstore.cli.moves import objection, objection_to_closing, warning

    goal = move.goal(before)
    reason = objection(move.kind, before.stages, goal, view)
    if reason is None and move.close_way_back:
        reason = objection_to_closing(move.kind, before.stages, view)
    if reason is not None:
        raise StaleSideError(reason)
    notice = warning(move.kind, before.stages, goal, view)
    if notice is not None:
        say(f"warning: {notice}")


async def _record(stage: Stage, view: View) -> None:
    """Record what everybody is served at: the router falls back to that when the flag cannot be had."""
    for side, sight in view.sides.items():
        if sight.journal is None:
            say(f"warning: the {side} side is away, so the stage is not recorded there: set it again when it is back")
        else:
            # From here on a write that reaches one side only leaves its mark, should somebody go back to `off`.
            opens = True if stage is not Stage.OFF and not view.state.way_back_closed else None
            await sight.journal.remember(stage=stage, journal_open=opens)


async def _close_way_back(view: View) -> None:
    """Say so on the old side first: it is the one that nobody may read from then on."""
    for side in Side:
        journal = view.sides[side].journal
        if journal is not None:
            await journal.remember(way_back_closed=True, journal_open=False)
    new = view.sides[Side.NEW].journal
    while new is not None and (marks := await new.marks(limit=_CLEARED_AT_ONCE)):
        await new.clear(marks)
