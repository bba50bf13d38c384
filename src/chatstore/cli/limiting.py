"""The options that limit a run, and what becomes of the limits that were set before."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from chatstore.interfaces import Progress
    from chatstore.migration.limits import Limits

Rate = Annotated[
    str | None, typer.Option("--rate", metavar="N", help="At most so many records a second; none: any number.")
]
MaxLatency = Annotated[
    str | None,
    typer.Option(
        "--max-latency",
        metavar="TIME",
        help="Make room while a server takes longer to answer, as in 20ms; none: whatever it takes.",
    ),
]
MaxSourceLatency = Annotated[
    str | None, typer.Option("--max-source-latency", metavar="TIME", help="The same for the server that is read.")
]
MaxTargetLatency = Annotated[
    str | None, typer.Option("--max-target-latency", metavar="TIME", help="The same for the one that is written.")
]
Between = Annotated[
    str | None,
    typer.Option(
        "--between",
        metavar="WINDOW",
        help="Move in a part of the day only: 22:00-06:00, in UTC, or '22:00-06:00 Europe/Berlin'; none: all day.",
    ),
]
AtOnce = Annotated[
    str | None,
    typer.Option("--at-once", metavar="N", help="At most so many batches under way at once; none: what is usual."),
]

_NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What the options of a command change, as they were given; None where one was not given."""

    rate: str | None = None
    max_latency: str | None = None
    max_source_latency: str | None = None
    max_target_latency: str | None = None
    between: str | None = None
    at_once: str | None = None

    @property
    def any(self) -> bool:
        """Whether one of them was given."""
        return self != Changes()

    def options(self) -> list[str]:
        """Return the options as they were given, for a shell."""
        given = ((f"--{field.name.replace('_', '-')}", getattr(self, field.name)) for field in fields(self))
        return [f"{option} {shlex.quote(text)}" for option, text in given if text is not None]

    def of(self, limits: Limits) -> Limits:
        """Return limits with these changes.

        Raises:
            ConfigurationError: One of them means nothing.
        """
        return replace(limits, **dict(self._parsed()))

    def _parsed(self) -> Iterator[tuple[str, Any]]:
        from chatstore.migration.limits import Window, parse_at_once, parse_latency, parse_rate

        given = (
            (("rate",), self.rate, parse_rate),
            (("source_latency", "target_latency"), self.max_latency, parse_latency),
            (("source_latency",), self.max_source_latency, parse_latency),
            (("target_latency",), self.max_target_latency, parse_latency),
            (("window",), self.between, Window.parse),
            (("at_once",), self.at_once, parse_at_once),
        )
        for names, text, parse in given:
            if text is not None:
                value = None if text.strip().lower() == _NONE else parse(text)
                yield from ((name, value) for name in names)


async def set_before(progress: Progress, changes: Changes) -> None:
    """Set what a run's own options say before it begins; not when another one is under way, which they do not concern.

    Raises:
        ConfigurationError: One of the options means nothing, or what was set before cannot be read.
    """
    from chatstore.migration.limits import Limits

    if changes.any and await progress.holder() is None:
        limits = changes.of(Limits.decode(await progress.limits()))
        await progress.set_limits(limits.encode())
