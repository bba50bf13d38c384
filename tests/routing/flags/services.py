"""Flag services that a test has in its hand, and the resolver that asks them."""

import asyncio
import time

from openfeature import api
from openfeature.event import ProviderEventDetails
from openfeature.flag_evaluation import FlagResolutionDetails, Reason
from openfeature.provider import AbstractProvider
from openfeature.provider.metadata import Metadata

from chatstore.models import Kind, Stage, new_id, utc_now
from chatstore.routing import StageResolver
from chatstore.testing import MemoryJournal


class Service(AbstractProvider):
    """A flag service that answers one value to everybody, and what a test makes of it.

    `before` is called, and awaited if it is a coroutine function, when it is asked; `tracked` has what it was told.
    """

    def __init__(self, value=Stage.OFF, *, reason=Reason.TARGETING_MATCH, variant=None):
        super().__init__()
        self.value, self.reason, self.variant = value, reason, variant
        self.before = None
        self.before_async = None
        self.asked = []
        self.tracked = []
        self.domain = f"test-{new_id()}"

    def provide(self):
        api.set_provider_and_wait(self, self.domain)
        return self

    @property
    def client(self):
        return api.get_client(domain=self.domain)

    def get_metadata(self):
        return Metadata("a service of tests")

    def resolve_string_details(self, flag_key, default_value, evaluation_context=None):
        self.asked.append(evaluation_context)
        if self.before is not None:
            self.before()
        if isinstance(self.value, FlagResolutionDetails):
            return self.value
        value = str(self.value) if isinstance(self.value, Stage) else self.value
        return FlagResolutionDetails(value, reason=self.reason, variant=self.variant)

    async def resolve_string_details_async(self, flag_key, default_value, evaluation_context=None):
        if self.before_async is not None:
            await self.before_async()
        return self.resolve_string_details(flag_key, default_value, evaluation_context)

    def track(self, tracking_event_name, evaluation_context=None, tracking_event_details=None):
        self.tracked.append((tracking_event_name, evaluation_context, tracking_event_details))

    def error(self, message):
        self.emit_provider_error(ProviderEventDetails(message=message))

    def stale(self, message):
        self.emit_provider_stale(ProviderEventDetails(message=message))

    def ready(self):
        self.emit_provider_ready(ProviderEventDetails())

    def changed(self, *flags):
        self.emit_provider_configuration_changed(ProviderEventDetails(flags_changed=list(flags)))

    resolve_boolean_details = resolve_integer_details = resolve_float_details = resolve_object_details = None


async def resolver_of(client, *, verified=True, stage=None, **options):
    """A resolver whose migration is verified, and the old side's journal."""
    journal = MemoryJournal()
    await journal.remember(verified_at=utc_now() if verified else None, stage=stage, journal_open=True)
    return StageResolver(Kind.CHAT, [journal, MemoryJournal()], client=client, **options), journal


async def until(condition):
    """Wait for what another thread brings about: OpenFeature's for events, flagd's that reads the file."""
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.02)
