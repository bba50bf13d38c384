"""Plots of a run over time, as SVG in the page: with axes, units, and all that they show in words and figures, too."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chatstore.cli.output import duration, moment
from chatstore.cli.report.text import NONE, safe, table
from chatstore.migration import Sample
from chatstore.migration.history import thinned

# Sizes in the plot's own units. As many as a phone is wide, so that its text is as large as the page's.
_WIDTH, _HEIGHT = 400, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 8, 10, 38
_DRAWN = 150
_TOLD = 10
_TICKS = 4
_SMOOTHED, _SMOOTHED_SHARE = 2.0, 0.08
"""Seconds, and the share of the whole time, that a rate is the mean of."""
_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 43200, 86400)
_TIMES = ((86_400, "days"), (3_600, "h"), (60, "min"), (1, "s"))
_LATENCIES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a plot.

    Attributes:
        name: What it shows.
        value: Its height at a sample; None leaves a gap.
    """

    name: str
    value: Callable[[Sample], float | None]


def plots(samples: Sequence[Sample]) -> str:
    """Return the plots of a run: its rate, how long the servers let it wait, how much was under way at once."""
    drawn = thinned(samples, _DRAWN)
    if not drawn or drawn[-1].at <= 0:
        return ""
    latency = [
        Line("source answers", lambda sample: sample.source_latency),
        Line("target answers", lambda sample: sample.target_latency),
    ]
    waiting = [Line("source", lambda sample: sample.reading), Line("target", lambda sample: sample.writing)]
    seconds = max(_SMOOTHED, drawn[-1].at * _SMOOTHED_SHARE)
    rates = _smooth(drawn, seconds)
    unit = f"records a second (mean of {duration(seconds)})"
    parts = [
        _plot("Rate", unit, drawn, [Line("rate", lambda sample: rates[sample.at])], plain=True),
        _plot("Waiting for the servers", "a record", drawn, waiting),
        _plot("Latency of the servers", "a round trip", drawn, latency),
        _plot("Batches under way", "batches", drawn, [Line("batches", lambda sample: sample.at_once)], plain=True),
    ]
    return f'<div class="plots">{"".join(parts)}</div>\n'


def _plot(title: str, unit: str, samples: Sequence[Sample], lines: Sequence[Line], *, plain: bool = False) -> str:
    """Return one plot; none where there is nothing to draw. `plain`: numbers, instead of times in a fitting unit."""
    known = [line for line in lines if any(line.value(sample) is not None for sample in samples)]
    if not known:
        return ""
    values = [value for line in known for sample in samples if (value := line.value(sample)) is not None]
    scale, name = (1.0, "") if plain else _unit(_LATENCIES, max(values))
    top = _rounded(max(values) / scale)
    axis = unit if plain else f"{name} {unit}"
    return (
        f"<figure><figcaption>{safe(title)}{_legend(known)}</figcaption>\n"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{safe(f"{title}, {axis}, over time")}">\n'
        f"{_stood(samples)}{_axes(samples[-1].at, top, axis)}{''.join(_paths(samples, known, top * scale))}</svg>\n"
        f"<p>{safe(_words(samples, known, plain=plain, unit=unit))}</p>\n"
        f"{_figures(samples, known, axis, scale)}</figure>\n"
    )


def _smooth(samples: Sequence[Sample], seconds: float) -> dict[float, float]:
    """Return the rate about each sample's end: batches that end together are no sign of a fast moment."""
    rates = {}
    for sample in samples:
        near = [one for one in samples if abs(one.at - sample.at) <= seconds / 2]
        length = sum(one.seconds for one in near)
        rates[sample.at] = sum(one.records for one in near) / length if length > 0 else 0.0
    return rates


def _legend(lines: Sequence[Line]) -> str:
    if len(lines) == 1:
        return ""
    return "".join(
        '<span class="key"><svg viewBox="0 0 24 8" aria-hidden="true">'
        f'<path class="line line{place}" d="M0 4H24"/></svg>'
        f"{safe(line.name)}</span>"
        for place, line in enumerate(lines)
    )


def _axes(seconds: float, top: float, axis: str) -> str:
    parts = [f'<text class="axis" x="{_LEFT}" y="{_HEIGHT - 2}">{safe(axis)}, over the time of the run</text>']
    for tick in range(_TICKS + 1):
        value = top * tick / _TICKS
        y = _y(value, top)
        parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(f'<text class="tick" x="{_LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{_short(value)}</text>')
    step = next((step for step in _STEPS if seconds / step <= _TICKS), math.ceil(seconds / _TICKS / 86400) * 86400)
    scale, name = next(((scale, name) for scale, name in _TIMES if step >= scale), _TIMES[-1])
    for place in range(int(seconds / step) + 1):
        x = _x(place * step, seconds)
        label = f"{_short(place * step / scale)} {name}"
        anchor = "end" if x > _WIDTH - 40 else "middle"
        parts.append(f'<path class="grid" d="M{x:.1f} {_HEIGHT - _BOTTOM}v4"/>')
        parts.append(
            f'<text class="tick" x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 17}" text-anchor="{anchor}">{label}</text>'
        )
    return "".join(f"{part}\n" for part in parts)


def _stood(samples: Sequence[Sample]) -> str:
    """Return a shade wherever the run waited or was paused."""
    end = samples[-1].at
    return "".join(
        f'<rect class="stood" x="{_x(sample.at - sample.seconds, end):.1f}" y="{_TOP}" '
        f'width="{max(1.0, _x(sample.stood, end) - _LEFT):.1f}" height="{_HEIGHT - _TOP - _BOTTOM}"/>\n'
        for sample in samples
        if sample.stood > 0
    )


def _paths(samples: Sequence[Sample], lines: Sequence[Line], top: float) -> list[str]:
    paths = []
    for place, line in enumerate(lines):
        drawn, pen = [], "M"
        for sample in samples:
            value = line.value(sample)
            if value is None:
                pen = "M"
                continue
            middle = sample.at - sample.seconds / 2
            drawn.append(f"{pen}{_x(middle, samples[-1].at):.1f} {_y(value, top):.1f}")
            pen = "L"
        # A single point would be no line.
        dot = "h1" if len(drawn) == 1 else ""
        paths.append(f'<path class="line line{place}" d="{"".join(drawn)}{dot}"/>\n')
    return paths


def _words(samples: Sequence[Sample], lines: Sequence[Line], *, plain: bool, unit: str) -> str:
    """Return what a plot shows, in words."""
    said = []
    for line in lines:
        weighed = [(value, sample.seconds) for sample in samples if (value := line.value(sample)) is not None]
        values, seconds = [value for value, _ in weighed], sum(length for _, length in weighed)
        mean = sum(value * length for value, length in weighed) / seconds if seconds else values[0]
        low, high, usual = (_short(value) if plain else moment(value) for value in (min(values), max(values), mean))
        head = "" if len(lines) == 1 else f"{line.name}: "
        said.append(f"{head}{low} to {high} {unit}, {usual} on average")
    stood = sum(sample.stood for sample in samples)
    rest = [f"shaded: {duration(stood)} of waiting or pause"] if stood > 0 else []
    return "; ".join([*said, *rest]) + "."


def _figures(samples: Sequence[Sample], lines: Sequence[Line], axis: str, scale: float) -> str:
    rows = []
    for sample in thinned(samples, _TOLD):
        values = (line.value(sample) for line in lines)
        rows.append((duration(sample.at), *(NONE if value is None else _short(value / scale) for value in values)))
    heads = ("until", *(f"{line.name} ({axis})" if len(lines) > 1 else axis for line in lines))
    return f"<details><summary>Figures</summary>{table(heads, rows, numbers=True)}</details>\n"


def _x(seconds: float, end: float) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * max(0.0, seconds) / end


def _y(value: float, top: float) -> float:
    return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * min(1.0, value / top)


def _rounded(value: float) -> float:
    """Return a round number that is not smaller, and whose quarters are round, too."""
    if value <= 0:
        return float(_TICKS)
    power = 10.0 ** math.floor(math.log10(value))
    return next(
        round_one * power for round_one in (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10) if round_one * power >= value
    )


def _unit(units: Sequence[tuple[float, str]], value: float) -> tuple[float, str]:
    return next((unit for unit in units if value >= unit[0]), units[-1])


def _short(value: float) -> str:
    """Return a number as it is read: `20,000`, `12.5`, `0.25`."""
    if value >= 100:  # noqa: PLR2004 - three digits tell enough
        return f"{value:,.0f}"
    return f"{value:.3g}"
