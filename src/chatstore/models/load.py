"""How busy a server is, as it tells itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLoad:
    """What a server answers when it is asked how busy it is.

    Attributes:
        latency: Seconds that a round trip with next to nothing to do takes now.
        cpu_seconds: Seconds that the server was at work on a CPU since it started; None where it does not tell. Two
            measures make the share of a CPU that it uses.
        operations: How many operations it does a second now, whoever asks for them; None where it does not tell.
    """

    latency: float
    cpu_seconds: float | None = None
    operations: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSeen:
    """How busy a server was over some time.

    Attributes:
        latency: Seconds that a round trip took: the last one of them, or their mean, as whoever gives it says.
        latency_before: Seconds that one took before the run began.
        latency_worst: Seconds that the slowest one took.
        cpu_share: The share of one CPU that the server used; None where it does not tell.
        operations: How many operations a second it did, about; None where it does not tell.
    """

    latency: float
    latency_before: float
    latency_worst: float
    cpu_share: float | None = None
    operations: float | None = None
