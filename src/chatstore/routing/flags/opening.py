"""All that routers need of OpenFeature: the client, what listens to its provider, and what tells it of calls."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from openfeature.client import OpenFeatureClient

from chatstore.models import Kind, Side, Stage
from chatstore.routing.agreement import SearchTolerance
from chatstore.routing.comparison import OnComparison
from chatstore.routing.flags.client import flag_client
from chatstore.routing.flags.provider import ProviderWatch
from chatstore.routing.flags.resolver import StageResolver
from chatstore.routing.flags.tracking import Sender, Tracker, Tracking
from chatstore.routing.replication import OnPut
from chatstore.routing.shadow import ShadowReader
from chatstore.routing.sides import S, Sides


@dataclass(frozen=True, slots=True)
class Flags:
    """What is opened.

    Attributes:
        client: Is asked for stages.
        provider: Listens to its provider.
        trackers: Tell it of calls; empty where that is not wanted.
    """

    client: OpenFeatureClient
    provider: ProviderWatch
    trackers: Mapping[Kind, Tracker] = field(default_factory=dict)

    def resolver(self, kind: Kind, sides: Sides[S], *, configured: Stage) -> StageResolver:
        """Return what decides the stages of one kind; `configured` stands where nothing else is known."""
        return StageResolver(
            kind,
            [sides[side].journal for side in Side],
            configured=configured,
            client=self.client,
            provider=self.provider,
            tracker=self.trackers.get(kind),
        )

    def on_put(self, kind: Kind) -> OnPut | None:
        """Return what a replicator is to tell of its batches."""
        tracker = self.trackers.get(kind)
        return None if tracker is None else tracker.second

    def shadow(
        self, kind: Kind, on_comparison: OnComparison | None = None, tolerance: SearchTolerance | None = None
    ) -> ShadowReader:
        """Return what compares the reads of one kind, searches within a tolerance, and tells whoever wants to know."""
        tracker = self.trackers.get(kind)
        others = () if on_comparison is None else (on_comparison,)
        if tracker is None:
            return ShadowReader(tolerance=tolerance, on_compared=others)
        return ShadowReader(tolerance=tolerance, on_mismatch=tracker.mismatch, on_compared=(tracker.compared, *others))


@asynccontextmanager
async def open_flags(
    flags: OpenFeatureClient | str, flag_file: Path | None, *, tracking: Tracking | bool
) -> AsyncIterator[Flags]:
    """Open what `Flags` has.

    Args:
        flags: As of `flag_client`. So is the next one.
        flag_file: See there.
        tracking: How much of the calls is told to the provider; True for as much as `Tracking()` says.

    Raises:
        ConfigurationError: As of `flag_client`.
    """
    async with flag_client(flags, flag_file) as (client, provider):
        if tracking is False:
            yield Flags(client, provider)
            return
        sender = Sender(client)
        told = Tracking() if tracking is True else tracking
        try:
            yield Flags(client, provider, {kind: Tracker(kind, sender, told) for kind in Kind})
        finally:
            await sender.close()
