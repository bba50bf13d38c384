"""Which settings a migration of what was found needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from chatstore.models import Kind
from chatstore.ownership import Owners
from chatstore.redis.inspection import Group, Inspection
from chatstore.settings import Settings

_LISTED = 8
_FORMS = "key:…, csv:…, field:…, all:… or call:…"


def chosen_groups(inspection: Inspection, settings: Settings) -> dict[Kind, Group]:
    """Return the group of each kind that the settings name, else the largest."""
    chosen = {}
    for kind in Kind:
        groups = inspection.of(kind)
        named = [group for group in groups if _is_named(group, settings)]
        if groups:
            chosen[kind] = (named or groups)[0]
    return chosen


def settings_for(chosen: Mapping[Kind, Group], settings: Settings) -> list[str]:
    """Return the lines of `.env.local` that say where what was chosen lies."""
    names = {kind: group.layout for kind, group in chosen.items()}
    if len(names) == len(Kind) and len(set(names.values())) == 1:
        lines = [f"CHATSTORE_LAYOUT={names[Kind.CHAT]}"]
    else:
        lines = [f"{_setting(kind, 'LAYOUT')}={name}" for kind, name in names.items()]
    for kind, group in chosen.items():
        lines += _place(kind, group)
        lines += _owners(kind, group, settings)
    return lines


def advice_on(
    inspection: Inspection, chosen: Mapping[Kind, Group], settings: Settings, owners: Mapping[Kind, Owners]
) -> Iterator[str]:
    """Yield what somebody should know or do before."""
    if Kind.DOCUMENTS in chosen and not any((settings.chroma_url, settings.chroma_path, settings.chroma_api_key)):
        yield "no Chroma is set, so nothing was held against Chroma Cloud's limits: set CHROMA_API_KEY for that"
    for kind, group in chosen.items():
        named = settings.chat_layout if kind is Kind.CHAT else settings.document_layout
        if named is not None and named != group.layout:
            yield f"{_setting(kind, 'LAYOUT')} is {named}, but no key here is of that layout: {group.layout} is"
        others = [other for other in inspection.of(kind) if other is not group]
        if others:
            listed = ", ".join(f"{other.layout} ({other.prefix}*)" for other in others[:_LISTED])
            listed += f" and {len(others) - _LISTED} more" if len(others) > _LISTED else ""
            places = f"{kind}: {len(others) + 1} places hold some, and the settings name one of them at a time"
            yield f"{places}; not named above: {listed}"
        if not group.owned and kind not in owners:
            what = "session" if kind is Kind.CHAT else "document"
            yield (
                f"the layout {group.layout} does not say whose a {what} is: say it in {_owners_setting(kind)} "
                f"({_FORMS}), then inspect again"
            )
        if not group.is_default and group.prefix and group.keys.value == 1:
            yield f"the prefix {group.prefix} was learned from one key only: check it"


def _is_named(group: Group, settings: Settings) -> bool:
    chat = group.kind is Kind.CHAT
    layout = (settings.chat_layout if chat else settings.document_layout) or settings.layout
    prefix = settings.chat_prefix if chat else settings.document_prefix
    index = settings.chat_index if chat else settings.document_index
    return (
        group.layout == layout
        and (group.prefix == prefix if prefix is not None else group.is_default)
        and (index is None or group.index == index)
    )


def _place(kind: Kind, group: Group) -> Iterator[str]:
    if not group.is_default:
        yield f"{_setting(kind, 'PREFIX')}={group.prefix}"
    if group.index:
        yield f"{_setting(kind, 'INDEX')}={group.index}"


def _owners(kind: Kind, group: Group, settings: Settings) -> Iterator[str]:
    if group.owned:
        return
    said = settings.owners if kind is Kind.CHAT else settings.document_owners
    if said is None:
        what = "session" if kind is Kind.CHAT else "document"
        yield f"# whose a {what} is, one of {_FORMS}"
    yield f"{_owners_setting(kind)}={said or ''}"


def _setting(kind: Kind, part: str) -> str:
    return f"CHATSTORE_{'CHAT' if kind is Kind.CHAT else 'DOCUMENT'}_{part}"


def _owners_setting(kind: Kind) -> str:
    return "CHATSTORE_OWNERS" if kind is Kind.CHAT else "CHATSTORE_DOCUMENT_OWNERS"
