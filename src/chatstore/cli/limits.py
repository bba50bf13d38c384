"""`chatstore pause`, `resume` and `limits`: what a run may do, changed while it is under way, from another process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer

from chatstore.cli.kinds import Chat, Documents, kinds_of, named
from chatstore.cli.limiting import AtOnce, Between, Changes, MaxLatency, MaxSourceLatency, MaxTargetLatency, Rate
from chatstore.cli.output import AsJson, answer, printable
from chatstore.cli.running import run
from chatstore.models import Kind

if TYPE_CHECKING:
    from chatstore.interfaces import Progress
    from chatstore.migration.limits import Limits

_AFTERWARDS = "the limits may have been changed: chatstore limits shows them"

_None = Annotated[bool, typer.Option("--none", help="Remove all limits first; a run that is paused stays so.")]


@dataclass(frozen=True, slots=True)
class _Set:
    """The limits of one kind, and which runs of it are under way."""

    before: Limits
    now: Limits
    runs: tuple[str, ...]


def register(app: typer.Typer) -> None:
    """Add the commands to a program."""
    app.command()(pause)
    app.command()(resume)
    app.command()(limits)


def pause(*, chat: Chat = False, documents: Documents = False, as_json: AsJson = False) -> None:
    """Let a run stand still: the one under way, or the next one.

    A migrate finishes the batches that it is at, which takes a few seconds, and keeps its lease: nobody else begins.
    The app is not concerned: its writes go on as before.

    Example:  chatstore pause --chat
    """
    held = run(
        _change(named(chat=chat, documents=documents), lambda now: replace(now, paused=True)), afterwards=_AFTERWARDS
    )
    lines = [
        f"{kind}: paused; {' and '.join(one.runs)} stands still in a moment: chatstore resume --{kind} lets it go on"
        if one.runs
        else f"{kind}: no run is under way; the next one will wait for chatstore resume --{kind}"
        for kind, one in held.items()
    ]
    answer({kind: _document(one) for kind, one in held.items()}, lines, as_json=as_json)


def resume(*, chat: Chat = False, documents: Documents = False, as_json: AsJson = False) -> None:
    """Let a run go on that `chatstore pause` holds.

    It does so within a second or two. Its other limits stay.

    Example:  chatstore resume --chat
    """
    held = run(
        _change(named(chat=chat, documents=documents), lambda now: replace(now, paused=False)), afterwards=_AFTERWARDS
    )
    lines = [
        f"{kind}: {'goes on' if one.before.paused else 'was not paused'}{_others(one)}" for kind, one in held.items()
    ]
    answer({kind: _document(one) for kind, one in held.items()}, lines, as_json=as_json)


def limits(
    *,
    chat: Chat = False,
    documents: Documents = False,
    rate: Rate = None,
    max_latency: MaxLatency = None,
    max_source_latency: MaxSourceLatency = None,
    max_target_latency: MaxTargetLatency = None,
    between: Between = None,
    at_once: AtOnce = None,
    none: _None = False,
    as_json: AsJson = False,
) -> None:
    """Show what a run is limited to, or change it.

    A migrate looks about once a second. Limits stay until they are changed again, for the runs that come, too: a verify
    that follows a migrate does not disturb the apps either. A latency is that of the server's own answer to next to
    nothing, which is asked for twice a second: while it is above, there are fewer batches at once, and pauses between
    them.

    Example:  chatstore limits --rate 500 --max-latency 20ms --between '22:00-06:00 Europe/Berlin'
    """
    changes = Changes(
        rate=rate,
        max_latency=max_latency,
        max_source_latency=max_source_latency,
        max_target_latency=max_target_latency,
        between=between,
        at_once=at_once,
    )

    def changed(now: Limits) -> Limits:
        from chatstore.migration.limits import Limits

        return changes.of(Limits(paused=now.paused) if none else now)

    kinds = named(chat=chat, documents=documents)
    held = run(_change(kinds, changed, anew=none), afterwards=_AFTERWARDS)
    lines = [f"{kind}: {'; '.join(one.now.described()) or 'no limits'}" for kind, one in held.items()]
    answer({kind: _document(one) for kind, one in held.items()}, lines, as_json=as_json)


async def _change(kinds: Sequence[Kind], change: Callable[[Limits], Limits], *, anew: bool = False) -> dict[Kind, _Set]:
    """Change the limits of these kinds, or of all that the settings have, and return them.

    Args:
        kinds: What the options name.
        change: Makes the new limits of the old ones.
        anew: Whether the old ones may be such as cannot be read.
    """
    from chatstore.backends import Backends
    from chatstore.settings import load_settings

    async with Backends(load_settings()) as backends:
        asked = kinds_of(backends, kinds)
        return {kind: await _changed(backends.progress(kind), change, anew=anew) for kind in asked}


async def _changed(progress: Progress, change: Callable[[Limits], Limits], *, anew: bool) -> _Set:
    before = await _read(progress.limits, anew=anew)
    now = change(before)
    if now != before or anew:
        await progress.set_limits(now.encode())
    return _Set(before, now, await _runs(progress))


async def _read(read: Callable[[], Awaitable[str | None]], *, anew: bool) -> Limits:
    from chatstore.errors import ConfigurationError
    from chatstore.migration.limits import Limits

    text = await read()
    try:
        return Limits.decode(text)
    except ConfigurationError:
        if not anew:
            raise
        return Limits()


async def _runs(progress: Progress) -> tuple[str, ...]:
    """Return what is under way, as people name it."""
    from chatstore.migration.snapshot import RUNS, told

    found = [snapshot for run in RUNS if (snapshot := await told(progress, run)) is not None]
    runs = [f"the {snapshot.run} on {printable(snapshot.host)} (pid {snapshot.pid})" for snapshot in found]
    holder = await progress.holder()
    if holder is not None and not runs:
        runs.append(f"the run of {printable(holder)}")
    return tuple(runs)


def _others(one: _Set) -> str:
    said = one.now.described()
    return f"; still limited to: {'; '.join(said)}" if said else ""


def _document(one: _Set) -> dict[str, object]:
    now = one.now
    return {
        "paused": now.paused,
        "rate": now.rate,
        "source_latency": now.source_latency,
        "target_latency": now.target_latency,
        "window": None if now.window is None else str(now.window),
        "at_once": now.at_once,
        "runs": list(one.runs),
    }
