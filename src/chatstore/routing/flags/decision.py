"""What decided the stage of a call, for whoever asks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from chatstore.models import Kind, Stage
from chatstore.routing.flags.provider import ProviderState


class StageSource(StrEnum):
    """Where a stage came from, in the order in which they are asked."""

    FLAG = "flag"
    """OpenFeature's answer for this call."""
    LAST = "last"
    """The stage that this user had before, in this process."""
    RECORDED = "recorded"
    """The stage that is recorded beside the journals."""
    CONFIGURED = "configured"
    """The setting CHATSTORE_STAGE."""
    SAFE = "safe"
    """None of these may be served now: the stage that reads from the side that is known to be whole."""


@dataclass(frozen=True, slots=True)
class Ground:
    """Why a stage is served; see `StageDecision`."""

    source: StageSource
    reason: str | None
    variant: str | None
    error_code: str | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class StageDecision:
    """The stage that a call was served at, and what decided it.

    Attributes:
        kind: Of which flag.
        stage: The stage.
        source: Where it came from.
        reason: OpenFeature's reason for its answer (`TARGETING_MATCH`, `SPLIT`, `STALE`, `ERROR`, …), as the provider
            gave it.
        variant: The answer's variant, if the provider has named it.
        error_code: OpenFeature's error code, if the evaluation failed.
        why: Why the flag's answer was not simply served, in words for a log; None when it was.
        at: When the call was.
    """

    kind: Kind
    stage: Stage
    source: StageSource
    reason: str | None
    variant: str | None
    error_code: str | None
    why: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class StageReport:
    """How the stages of one kind are decided in this process.

    Attributes:
        flag: The flag's name.
        provider: The OpenFeature provider that is asked, and how it is.
        recorded: The stage that is recorded beside the journals; None as long as nothing is known.
        fallbacks: How many calls were served without a usable answer of the flag, since the stores were opened.
        last_fallback: The last of them; None when there was none.
    """

    flag: str
    provider: ProviderState
    recorded: Stage | None
    fallbacks: int
    last_fallback: StageDecision | None
