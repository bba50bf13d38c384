"""What an operator limits a run to, so that it does not disturb the apps beside it: as values, and as text."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields
from datetime import UTC, datetime, time, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from chatstore.errors import ConfigurationError

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s)")
_WINDOW = re.compile(r"(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})(?:\s+(\S+))?")
_UNITS: Final = {"ms": 0.001, "s": 1.0}
_UTC = "UTC"


@dataclass(frozen=True, slots=True)
class Window:
    """A part of every day.

    Attributes:
        begin: From when on, by the clocks of the zone.
        end: Until when; before `begin` when midnight lies between.
        zone: The name of a time zone.
    """

    begin: time
    end: time
    zone: str = _UTC

    @classmethod
    def parse(cls, text: str) -> Window:
        """Return the window that a text names: `22:00-06:00`, in UTC, or `22:00-06:00 Europe/Berlin`.

        Raises:
            ConfigurationError: It names none.
        """
        found = _WINDOW.fullmatch(text.strip())
        if found is None:
            raise ConfigurationError(
                f"{_quoted(text)} is no part of a day: give two times in UTC, as in 22:00-06:00, or in a time zone, "
                f"as in '22:00-06:00 Europe/Berlin'"
            )
        try:
            begin, end = time(int(found[1]), int(found[2])), time(int(found[3]), int(found[4]))
        except ValueError as error:
            raise ConfigurationError(f"{_quoted(text)} is no part of a day: times go from 00:00 to 23:59") from error
        if begin == end:
            raise ConfigurationError(f"{_quoted(text)} begins when it ends: leave the window out to run all day")
        window = cls(begin, end, found[5] or _UTC)
        window._zone()
        return window

    def holds(self, now: datetime) -> bool:
        """Return whether a moment lies within, by the zone's clocks on that day."""
        clock = now.astimezone(self._zone()).time()
        if self.begin < self.end:
            return self.begin <= clock < self.end
        return clock >= self.begin or clock < self.end

    def _zone(self) -> tzinfo:
        if self.zone.upper() == _UTC:
            return UTC
        try:
            return ZoneInfo(self.zone)
        except (ValueError, OSError, LookupError) as error:
            raise ConfigurationError(
                f"this machine knows no time zone {self.zone!r}: give one as in Europe/Berlin, or the times in UTC "
                f"(without any zone data, `pip install tzdata`)"
            ) from error

    def __str__(self) -> str:
        return f"{self.begin:%H:%M}-{self.end:%H:%M} {self.zone}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What an operator limits a run to. None where there is no limit.

    Attributes:
        rate: Records a second: sessions, messages, documents.
        source_latency: Seconds that a round trip to the source's server may take.
        target_latency: Seconds that one to the target's server may take.
        window: The part of a day in which the run may move.
        at_once: How many batches may be under way at once.
        paused: Whether the run is held until somebody lets it go on.
    """

    rate: float | None = None
    source_latency: float | None = None
    target_latency: float | None = None
    window: Window | None = None
    at_once: int | None = None
    paused: bool = False

    @property
    def none(self) -> bool:
        """Whether nothing is limited."""
        return self == Limits()

    def described(self) -> list[str]:
        """Return what is limited, a phrase each."""
        said = ["paused"] if self.paused else []
        if self.rate is not None:
            said.append(f"{self.rate:,.10g} records a second")
        said += [
            f"while {name} answers within {shown(latency)}"
            for name, latency in (("the source", self.source_latency), ("the target", self.target_latency))
            if latency is not None
        ]
        if self.window is not None:
            said.append(f"between {self.window}")
        if self.at_once is not None:
            said.append(f"{self.at_once} at once")
        return said

    def encode(self) -> str | None:
        """Return it as a text for `Progress`; None when nothing is limited."""
        values = {name: getattr(self, name) for name in _NAMES}
        if self.window is not None:
            values["window"] = str(self.window)
        held = {name: value for name, value in values.items() if value is not None and value is not False}
        return json.dumps(held) if held else None

    @classmethod
    def decode(cls, text: str | None) -> Limits:
        """Return what `encode` was given.

        Raises:
            ConfigurationError: The text is not one of `encode`'s.
        """
        if text is None:
            return cls()
        try:
            held = cls(**json.loads(text))
            return cls(
                rate=None if held.rate is None else parse_rate(str(held.rate)),
                source_latency=None if held.source_latency is None else float(held.source_latency),
                target_latency=None if held.target_latency is None else float(held.target_latency),
                window=None if held.window is None else Window.parse(str(held.window)),
                at_once=None if held.at_once is None else parse_at_once(str(held.at_once)),
                paused=bool(held.paused),
            )
        except (ValueError, TypeError, ConfigurationError) as error:
            raise ConfigurationError(
                f"the limits that were set cannot be read ({error}): set them again, with this release of chatstore, "
                f"by `chatstore limits --none`"
            ) from error


_NAMES: Final = tuple(field.name for field in fields(Limits))


_FASTEST: Final = 1e9
"""Records a second. No server comes near, so a greater number is a mistake."""
_SLOWEST: Final = 0.01
"""Records a second: one in 100 s. Whoever wants less than that wants a pause."""
_LONGEST: Final = 3600.0
_MOST_AT_ONCE: Final = 1000
"""Batches, each of which is held in memory: a greater number is a mistake, too."""
_QUOTED: Final = 40


def parse_rate(text: str) -> float:
    """Return the records a second that a text names.

    Raises:
        ConfigurationError: It is no number from 0.01 to 1,000,000,000.
    """
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not _SLOWEST <= rate <= _FASTEST:
        raise ConfigurationError(
            f"{_quoted(text)} is no rate: give records a second, as in 500, from {_SLOWEST} to {_FASTEST:,.0f}; or "
            f"none for no limit; `chatstore pause` stops all"
        )
    return rate


def parse_latency(text: str) -> float:
    """Return the seconds that a text names, as in `20ms` or `1.5s`.

    Raises:
        ConfigurationError: It names none, or 0, or an hour and more.
    """
    found = _DURATION.fullmatch(text.strip())
    seconds = float(found[1]) * _UNITS[found[2]] if found is not None else 0.0
    if not 0 < seconds < _LONGEST:
        raise ConfigurationError(f"{_quoted(text)} is no time that an answer may take: give it as in 20ms or 1.5s")
    return seconds


def parse_at_once(text: str) -> int:
    """Return the number of batches that a text names.

    Raises:
        ConfigurationError: It is no whole number from 1 to 1,000.
    """
    digits = text.strip().lstrip("0")
    # Python itself refuses to read a number of thousands of digits.
    number = int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= len(str(_MOST_AT_ONCE)) else 0
    if not 1 <= number <= _MOST_AT_ONCE:
        raise ConfigurationError(f"{_quoted(text)} is no number of batches: give one from 1 to {_MOST_AT_ONCE:,}")
    return number


def shown(seconds: float) -> str:
    """Return a short time as people say it: `20 ms`, `1.5 s`."""
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def _quoted(text: str) -> str:
    return repr(text) if len(text) <= _QUOTED else f"{text[:_QUOTED]!r}…"
