"""The report of `chatstore inspect`, as text that fits a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from chatstore.cli.output import duration, printable
from chatstore.models import Kind
from chatstore.preflight import Duration, Report
from chatstore.redis.inspection import Count, Expiry, Finding, Group, Inspection, Records, Unclaimed, Whose

_LABEL = 11
_LISTED = 8
_GROUPS = 12
_WIDEST = 120


def show_report(report: Report) -> None:
    """Print a report on stdout."""
    console = Console(highlight=False, markup=False, emoji=False)
    console.width = min(console.width, _WIDEST)
    found = report.inspection
    _print(console, Text("\n".join(_head(found))))
    shown = sorted(found.groups, key=lambda group: not _is_chosen(report, group))
    noted: set[tuple[str, str]] = set()
    for group in shown[:_GROUPS]:
        _show(console, _title(group), _rows(report, group, noted))
    if len(shown) > _GROUPS:
        _print(console, Text(f"\n… and {len(shown) - _GROUPS} more: --json lists them"))
    _show(console, "no layout claims these", _strangers(found.unclaimed))
    if report.settings:
        _print(console, Text("\nsettings for .env.local", style="bold"))
        for line in report.settings:
            console.print(Text(f"  {printable(line)}"), soft_wrap=True)
    _show(console, "before you migrate", (("-", one) for one in report.advice))
    _show(console, "not found out", (("-", one) for one in found.gaps))


def _show(console: Console, title: str, rows: Iterator[tuple[str, str]]) -> None:
    listed = list(rows)
    if not listed:
        return
    _print(console, Text(f"\n{printable(title)}", style="bold"))
    table = Table.grid(padding=(0, 1))
    table.add_column(width=1)
    table.add_column(width=_LABEL if any(len(label) > 1 for label, _ in listed) else 1, no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in listed:
        table.add_row("", Text(label), Text(printable(text)))
    _print(console, table)


def _print(console: Console, what: RenderableType) -> None:
    """Print without the blanks with which a table fills its lines."""
    with console.capture() as captured:
        console.print(what)
    console.out("\n".join(line.rstrip() for line in captured.get().rstrip("\n").split("\n")), highlight=False)


def _is_chosen(report: Report, group: Group) -> bool:
    return report.chosen.get(group.kind) is group


def _head(found: Inspection) -> Iterator[str]:
    server = f"{found.server} at {found.address}" if found.server else f"the Redis at {found.address}"
    yield f"{printable(server)}: {_number(Count(found.keys), 'key')}"
    seconds = _span(found.seconds, found.seconds)
    if found.complete:
        yield f"all were looked at, in {seconds}"
    else:
        yield f"{found.looked_at:,} were looked at, in {seconds}; what follows is estimated from them"
        yield f"what has fewer than about {found.unseen:,} keys may be missing: --all looks at every key"
    if found.own.value:
        yield f"{_number(found.own, 'key')} of chatstore's own"
    if not found.groups:
        yield "no layout that chatstore knows is there"
        if found.elsewhere:
            listed = ", ".join(str(number) for number in found.elsewhere)
            yield f"other databases of this server have keys (REDIS_URL ends with the number): {listed}"


def _title(group: Group) -> str:
    if group.index and group.index == group.prefix:
        place = f"key {group.prefix}"
    else:
        index = f", index {group.index}" if group.index else ""
        place = f"{group.prefix}*{index}" if group.prefix else f"keys of any name{index}"
    return f"{group.kind}: {group.layout} ({place})"


def _rows(report: Report, group: Group, noted: set[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield what is to be said of a group: all of one that would be migrated, else the most important of it."""
    records, is_chosen = group.records, _is_chosen(report, group)
    yield "holds", _holds(group)
    if is_chosen:
        yield from _dimensions(records)
        if records.sizes is not None:
            mean, largest = _bytes(round(records.sizes.mean)), _bytes(records.sizes.largest)
            yield "texts", f"{mean} on average, the longest {largest} ({records.sizes.example})"
    if is_chosen or group.expiry.keys.value:
        yield "expires", _expiry(group.expiry)
    if records.read:
        if is_chosen or records.oldest is not None:
            yield "times", _times(records)
        yield "whose", _whose(records.whose, group)
        if not records.complete:
            yield "read", _read(group)
        if records.unindexed.value:
            yield "index", f"{_number(records.unindexed, 'message')} not in it; a migration finds them by their keys"
        yield from _quarantine(records.quarantined)
        yield from _target(group, report)
    taken = report.durations.get(group.kind)
    if is_chosen and taken is not None:
        yield "takes", _takes(group.kind, taken)
        if taken.memory.value:
            yield "memory", f"{_about(taken.memory)}{_bytes(taken.memory.value)} more in Redis meanwhile"
    for rival in group.rivals:
        yield "or", f"{rival.layout}: {rival.reason}"
    for note in group.notes:
        if (group.layout, note) not in noted:
            noted.add((group.layout, note))
            yield "note", note


def _holds(group: Group) -> str:
    if group.kind is Kind.DOCUMENTS:
        counted = _number(group.documents, "document")
    else:
        messages = "an unknown number of messages" if group.messages is None else _number(group.messages, "message")
        counted = f"{_number(group.sessions, 'session')}, {messages}"
    memory = f", {_about(group.memory)}{_bytes(group.memory.value)} of memory" if group.memory is not None else ""
    return f"{counted}; {_number(group.keys, 'key')}{memory}"


def _dimensions(records: Records) -> Iterator[tuple[str, str]]:
    if records.dimensions:
        ordered = sorted(records.dimensions.items(), key=lambda pair: -pair[1])
        parts = [
            f"{count:,} of {dimension} numbers" if dimension else f"{count:,} none" for dimension, count in ordered
        ]
        only = ordered[0][0] if len(ordered) == 1 else 0
        yield "embeddings", f"{only} numbers each" if only else f"of what was read: {', '.join(parts)}"


def _expiry(expiry: Expiry) -> str:
    if not expiry.keys.value:
        return "nothing"
    return f"{_number(expiry.keys, 'key')}, in {_span(expiry.soonest, expiry.latest)}"


def _times(records: Records) -> str:
    if records.oldest is None or records.newest is None:
        return "the layout has none"
    oldest, newest = _time(records.oldest), _time(records.newest)
    return oldest if oldest == newest else f"{oldest} to {newest}"


def _time(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"


def _whose(whose: Whose, group: Group) -> str:
    if not whose.said:
        setting = "CHATSTORE_DOCUMENT_OWNERS" if group.kind is Kind.DOCUMENTS else "CHATSTORE_OWNERS"
        return f"the layout does not say: {setting} must"
    least = "" if whose.exact else "at least "
    users = f"{least}{whose.users:,} user{'' if whose.users == 1 else 's'}"
    if not whose.nobodys.value:
        return users
    noun = "document" if group.kind is Kind.DOCUMENTS else "session"
    return f"{users}; {_number(whose.nobodys, noun)} nobody's: {', '.join(whose.examples)}"


def _read(group: Group) -> str:
    records = group.records
    if group.kind is Kind.DOCUMENTS:
        what = _number(Count(records.read), "document")
    else:
        what = f"{_number(Count(records.read), 'session')} with {_number(Count(records.messages_read), 'message')}"
    left_out = f"; {_number(Count(records.too_large), 'large key')} left out" if records.too_large else ""
    return f"{what}{left_out}; what is said of the others is estimated"


def _quarantine(findings: Sequence[Finding]) -> Iterator[tuple[str, str]]:
    if not findings:
        yield "quarantine", "none of what was read"
    yield from _listed("quarantine", findings)


def _target(group: Group, report: Report) -> Iterator[tuple[str, str]]:
    records = group.records
    label = "Supabase" if group.kind is Kind.CHAT else "Chroma"
    if not records.refused:
        by = " (by Chroma Cloud's limits)" if report.targets[group.kind] == "Chroma Cloud" else ""
        yield label, f"can hold all that was read{by}"
    for first, text in _listed(label, records.refused):
        yield first, f"cannot hold {text}"
    for _, text in _listed("", records.changed):
        yield "", f"holds in another form {text}"


def _listed(label: str, findings: Sequence[Finding]) -> Iterator[tuple[str, str]]:
    for finding in findings[:_LISTED]:
        yield label, f"{_about(finding.records)}{finding.records.value:,}: {finding.reason} ({finding.example})"
        label = ""
    if len(findings) > _LISTED:
        yield "", f"… and {len(findings) - _LISTED} more reasons: --json lists them"


def _takes(kind: Kind, taken: Duration) -> str:
    noun = "messages" if kind is Kind.CHAT else "documents"
    rates = taken.rates
    pace = f"{rates.most:,.0f}" if rates.least == rates.most else f"{rates.least:,.0f} to {rates.most:,.0f}"
    span = _span(taken.least, taken.most)
    read = "" if taken.read_rate is None else f"; {taken.read_rate:,.0f} a second were read here"
    return f"{span}, if {pace} {noun} a second can be written{read}"


def _span(least: float, most: float) -> str:
    shortest, longest = (duration(seconds) if seconds >= 1 else "less than a second" for seconds in (least, most))
    return shortest if shortest == longest else f"{shortest} to {longest}"


def _strangers(unclaimed: Sequence[Unclaimed]) -> Iterator[tuple[str, str]]:
    for one in unclaimed[:_LISTED]:
        like = f", looks like {one.looks_like}" if one.looks_like else ""
        example = f", for example {one.example}" if one.example != one.pattern else ""
        yield one.type, f"{_about(one.keys)}{one.keys.value:,} {one.pattern}{example}{like}"
    if len(unclaimed) > _LISTED:
        yield "", f"… and {len(unclaimed) - _LISTED} more: --json lists them"


def _number(count: Count, noun: str) -> str:
    return f"{_about(count)}{count.value:,} {noun}{'' if count.value == 1 else 's'}"


def _about(count: Count) -> str:
    return "" if count.exact else "about "


def _bytes(size: int) -> str:
    for unit, length in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= length:
            return f"{size / length:.3g} {unit}"
    return f"{size} B"
