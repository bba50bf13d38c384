"""Looking ahead: what a migration from a Redis would meet, and which settings it needs. Nothing is written anywhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from chatstore.chroma.collections import CollectionPlan, PerUser, Sharded, Single
from chatstore.chroma.limits import CLOUD
from chatstore.chroma.limits import limits_met as limits_of_document
from chatstore.models import Kind
from chatstore.ownership import Owners, Users, load_owners, load_users
from chatstore.preflight.advice import advice_on, chosen_groups, settings_for
from chatstore.preflight.durations import USUAL, duration_of
from chatstore.preflight.report import Duration, Rates, Report
from chatstore.redis.inspection import SAMPLE, Checks, Options, inspect
from chatstore.settings import Settings, load_settings, require
from chatstore.supabase.limits import limits_met_by_message, limits_met_by_session

if TYPE_CHECKING:
    from chatstore.redis import AppClient

__all__ = ["USUAL", "Duration", "Rates", "Report", "Wishes", "preflight"]

_PLANS: dict[str, Callable[[], CollectionPlan]] = {"user": PerUser, "shards": Sharded, "one": Single}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """How to look.

    Attributes:
        sample: How many keys are looked at; None: all of them, and all their records.
        commands_per_second: How many commands Redis gets a second, at most; None: as many as it answers.
        rates: How fast the targets take records, where somebody knows.
        on_progress: Told how many keys were looked at, of how many.
    """

    sample: int | None = SAMPLE
    commands_per_second: float | None = None
    rates: Mapping[Kind, Rates] = field(default_factory=dict)
    on_progress: Callable[[int, int], None] | None = None


async def preflight(
    settings: Settings | None = None, wishes: Wishes | None = None, *, redis: AppClient | None = None
) -> Report:
    """Return what a migration with these settings would meet; `REDIS_URL` is enough.

    What the settings say of owners, users and the Chroma that takes documents is applied. Only Redis is asked, and only
    what reads.

    Args:
        settings: The settings; those of the environment and `.env.local` when left out.
        wishes: How to look.
        redis: A client that the app has; the one of the settings when left out.

    Raises:
        ConfigurationError: A setting is missing or malformed, or Redis does not let its user look at keys.
        UnavailableError: Redis does not answer.
    """
    from chatstore.redis import connect  # noqa: PLC0415 - imported when first used

    settings, wishes = settings or load_settings(), wishes or Wishes()
    owners = _owners(settings)
    options = Options(
        sample=wishes.sample,
        commands_per_second=wishes.commands_per_second,
        owners=owners,
        users=_users(settings),
        checks=_checks(settings),
        on_progress=wishes.on_progress,
    )
    if redis is not None:
        found = await inspect(redis, options)
    else:
        require(settings, "redis_url")
        client = connect("" if settings.redis_url is None else settings.redis_url.get_secret_value())
        try:
            found = await inspect(client, options)
        finally:
            await client.aclose()
    chosen = chosen_groups(found, settings)
    return Report(
        inspection=found,
        targets={Kind.CHAT: "Supabase", Kind.DOCUMENTS: _chroma(settings)},
        chosen=chosen,
        durations={kind: duration_of(group, wishes.rates.get(kind)) for kind, group in chosen.items()},
        settings=settings_for(chosen, settings),
        advice=list(advice_on(found, chosen, settings, owners)),
    )


def _owners(settings: Settings) -> dict[Kind, Owners]:
    said = {
        Kind.CHAT: (settings.owners, "CHATSTORE_OWNERS"),
        Kind.DOCUMENTS: (settings.document_owners, "CHATSTORE_DOCUMENT_OWNERS"),
    }
    return {kind: load_owners(text, name=name) for kind, (text, name) in said.items() if text is not None}


def _users(settings: Settings) -> Users | None:
    return None if settings.users is None else load_users(settings.users)


def _checks(settings: Settings) -> Checks:
    plan = _PLANS[settings.collections]()
    quotas = CLOUD if settings.chroma_api_key is not None else None
    return Checks(
        session=limits_met_by_session,
        message=limits_met_by_message,
        document=partial(limits_of_document, plan=plan, quotas=quotas),
        collection_of=plan.collection_of,
    )


def _chroma(settings: Settings) -> str:
    if settings.chroma_api_key is not None:
        return "Chroma Cloud"
    return "a Chroma server" if settings.chroma_path is None else "an embedded Chroma"
