"""The OpenFeature provider that knows the stages: how it is, by its events."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from openfeature.client import OpenFeatureClient
from openfeature.event import EventDetails, EventHandler, ProviderEvent
from openfeature.provider import ProviderStatus

from chatstore.routing.complaints import Complaints

logger = logging.getLogger("chatstore.routing")


@dataclass(frozen=True, slots=True)
class ProviderState:
    """How a provider is.

    Attributes:
        name: The name that it gives itself; `unknown` when it fails even to say that.
        domain: The domain that it was asked for; None for the default one.
        status: OpenFeature's status of it: `NOT_READY`, `READY`, `ERROR`, `STALE` or `FATAL`. As long as it is
            `NOT_READY` or `FATAL` it is not asked; in `ERROR` and `STALE` it answers by what it knew last.
        message: What it said when it last came to another status than `READY`; None when it said nothing.
    """

    name: str
    domain: str | None
    status: str
    message: str | None


class ProviderWatch:
    """Listens to the events of a client's provider, tells the log of them, and whoever asked to be told.

    OpenFeature calls handlers in a thread of its own, so a listener must be safe to call from any thread.

    Args:
        client: Whose provider, also when another one takes its place.
    """

    def __init__(self, client: OpenFeatureClient) -> None:
        self._client = client
        self._message: str | None = None
        self._troubled = False
        self._complaints = Complaints()
        self._listeners: list[Callable[[frozenset[str] | None], None]] = []
        self._handlers: dict[ProviderEvent, EventHandler] = {
            ProviderEvent.PROVIDER_READY: self._ready,
            ProviderEvent.PROVIDER_ERROR: self._error,
            ProviderEvent.PROVIDER_STALE: self._stale,
            ProviderEvent.PROVIDER_CONFIGURATION_CHANGED: self._changed,
        }

    def start(self) -> None:
        """Listen from now on."""
        for event, handler in self._handlers.items():
            self._client.add_handler(event, handler)

    def stop(self) -> None:
        """Listen no more."""
        for event, handler in self._handlers.items():
            self._client.remove_handler(event, handler)

    def on_change(self, listener: Callable[[frozenset[str] | None], None]) -> None:
        """Have a listener called when flags have changed, with their names; with None when these are not known."""
        self._listeners.append(listener)

    def state(self) -> ProviderState:
        """Return how the provider is now."""
        status = self._client.get_provider_status()
        try:
            name = self._client.provider.get_metadata().name
        except Exception:  # noqa: BLE001 - a provider that fails even here is one of those that are asked about
            name = "unknown"
        return ProviderState(
            name,
            self._client.domain,
            status.value,
            None if status is ProviderStatus.READY else self._message,
        )

    def _ready(self, details: EventDetails) -> None:
        if self._troubled:
            self._troubled = False
            self._complaints = Complaints()  # Should it fail again, that is news.
            logger.info("the flag provider %s is ready again", details.provider_name)
        # While it was away, anything may have changed.
        self._tell(None)

    def _error(self, details: EventDetails) -> None:
        self._trouble(details, "is in error", "what it knew last stands, else each user's last stage")

    def _stale(self, details: EventDetails) -> None:
        self._trouble(details, "is stale", "it answers by what it knew last")

    def _trouble(self, details: EventDetails, what: str, consequence: str) -> None:
        self._troubled = True
        self._message = details.message
        reason = f" ({details.message})" if details.message else ""
        self._complaints.say(f"the flag provider {details.provider_name} {what}{reason}: {consequence}", kind=what)

    def _changed(self, details: EventDetails) -> None:
        self._tell(None if details.flags_changed is None else frozenset(details.flags_changed))

    def _tell(self, flags: frozenset[str] | None) -> None:
        for listener in self._listeners:
            listener(flags)
