"""What stands against a change of stage, and what to do first."""

from __future__ import annotations

from collections.abc import Collection

from chatstore.cli.output import number
from chatstore.cli.sides import View
from chatstore.models import Kind, Side, Stage
from chatstore.routing import ROUTES, refusal

_STEP_BESIDE = {Stage.OFF: Stage.DUALWRITE, Stage.COMPLETE: Stage.RAMPDOWN}
"""For each stage that writes one side only: its neighbour that reads from the same side and writes both."""


def objection(kind: Kind, before: Collection[Stage], stage: Stage, view: View) -> str | None:
    """Return why users must not go to a stage now, with what to do first; None when they may.

    Args:
        kind: Whose stage.
        before: Every stage that somebody is served at now.
        stage: The stage to go to.
        view: What is known of the migration.

    Raises:
        UnavailableError: A side that must be asked for that is away.
    """
    refused = refusal(stage, view.state)
    if refused is not None:
        return refused
    if ROUTES[stage].first is Side.OLD and _left(before, stage) and _has_forgotten(view):
        return (
            "the old side does not know of the verify that the new one remembers: was it emptied, or set back to an "
            f"older state? Run `chatstore migrate --back --{kind}`, then `chatstore verify --{kind}`"
        )
    behind = ROUTES[stage].first.other
    one_sided = [left for left in _left(before, stage) if ROUTES[left].second is None]
    if not one_sided:
        return None
    view.require(behind)
    marks = view.sides[behind].backlog.marks
    if not marks:
        return None
    return (
        f"{number(marks, 'write')} reached the {behind} side only, and stage {stage} would not show them: "
        f"run `chatstore repair --{kind}` first, or go by `chatstore stage {kind} {_STEP_BESIDE[one_sided[0]]}`"
    )


def objection_to_closing(kind: Kind, before: Collection[Stage], view: View) -> str | None:
    """Return why the way back must not be closed now, with what to do first; None when it may.

    Raises:
        UnavailableError: A side is away.
    """
    if set(before) != {Stage.COMPLETE}:
        return (
            f"apps may still write to the old side first: set `chatstore stage {kind} complete` for everybody, "
            "wait until all apps serve it, and close the way back then"
        )
    view.require(*Side)
    marks = view.sides[Side.OLD].backlog.marks
    if marks:
        return f"{number(marks, 'write')} reached the old side only: run `chatstore repair --{kind}` first"
    return None


def warning(kind: Kind, before: Collection[Stage], stage: Stage, view: View) -> str | None:
    """Return what users may miss for a while at a stage that they may go to; None when nothing."""
    if not _left(before, stage):
        return None
    behind = ROUTES[stage].first.other
    sight = view.sides[behind]
    if sight.error is not None:
        return f"the {behind} side is away; what reached it alone is missing until it is back: {sight.error}"
    if sight.backlog.marks:
        marks = number(sight.backlog.marks, "write")
        return f"{marks} may be on the {behind} side only; the apps bring them over, or chatstore repair --{kind}"
    return None


def _has_forgotten(view: View) -> bool:
    """Return whether the old side answers and lacks what both sides were told together."""
    old, new = view.sides[Side.OLD], view.sides[Side.NEW]
    return old.error is None and old.state.verified_at is None and new.state.verified_at is not None


def _left(before: Collection[Stage], stage: Stage) -> list[Stage]:
    """Return the stages that read from the other side than `stage` does: who leaves one is in for a flip."""
    return [left for left in before if ROUTES[left].first is not ROUTES[stage].first]
