"""What each stage reads and writes: the whole table, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from chatstore.models import MigrationState, Side, Stage


@dataclass(frozen=True, slots=True)
class Route:
    """What a stage does with a call.

    Attributes:
        first: The authoritative side: read from, and written first.
        second: The secondary side, written after it; None where a write goes to one side only.
        shadow: Whether a read is repeated on the other side and compared.
    """

    first: Side
    second: Side | None
    shadow: bool


ROUTES = {
    Stage.OFF: Route(Side.OLD, None, shadow=False),
    Stage.DUALWRITE: Route(Side.OLD, Side.NEW, shadow=False),
    Stage.SHADOW: Route(Side.OLD, Side.NEW, shadow=True),
    Stage.LIVE: Route(Side.NEW, Side.OLD, shadow=True),
    Stage.RAMPDOWN: Route(Side.NEW, Side.OLD, shadow=False),
    Stage.COMPLETE: Route(Side.NEW, None, shadow=False),
}
"""By stage: which side is read, which are written and in what order, and whether reads are compared."""

_ORDER = {stage: place for place, stage in enumerate(Stage)}


def further(one: Stage | None, other: Stage | None) -> Stage | None:
    """Return the stage that is further on the way from `off` to `complete`; None is before all."""
    if one is None or other is None:
        return other if one is None else one
    return one if _ORDER[one] >= _ORDER[other] else other


def reaches(stage: Stage | None, goal: Stage) -> bool:
    """Return whether `stage` is `goal` or behind it on the way."""
    return stage is not None and _ORDER[stage] >= _ORDER[goal]


def refusal(stage: Stage, state: MigrationState, *, entering: bool = True) -> str | None:
    """Return why `stage` must not be served in this state of a migration, with what to do; None when it may.

    A side is read from only when it is known to be whole: the new one after a verify; the old one as long as the way
    back is kept, or once a backfill from the new side and a verify have opened it again. Who is served by the new side
    already stays there when a later verify finds a difference (`entering=False`): it has what was written meanwhile,
    and the old one may not.
    """
    reads = ROUTES[stage].first
    # With the way back closed the old side is let fall behind, so a difference says nothing against the new one.
    counts = entering and not state.way_back_closed
    if reads is Side.NEW and not (state.verified if counts else state.verified_at):
        why = "differed from the old one when it was last verified" if state.differed_at else "is not verified yet"
        return f"stage {stage} reads from the new side, which {why}: run `chatstore migrate`, then `chatstore verify`"
    if reads is Side.OLD and state.way_back_closed:
        return (
            f"stage {stage} reads from the old side, which is no longer kept whole: the way back was closed. "
            "To open it again, run `chatstore migrate --back`, then `chatstore verify`"
        )
    return None
