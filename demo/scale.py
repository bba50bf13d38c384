"""How much the demo does: who takes part, how much was there before, and how long each stage lasts."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """The measures of one run.

    Attributes:
        processes: How many processes the app has.
        users: How many users each of them serves.
        readers: How many of all users have documents already: each of them all of Python's help topics.
        sessions: How many sessions are there before.
        seconds: How long the app is served at a stage at which nothing else happens.
        pause: Seconds between two things that a user does, on average.
    """

    processes: int
    users: int
    readers: int
    sessions: int
    seconds: float
    pause: float

    def user_ids(self, random: Random) -> list[list[str]]:
        """Return ids of the kinds that real apps have, process by process."""
        kinds = ("user_{}", "auth0|{}", "{}@example.com", "用户-{}")
        return [
            [kinds[place % len(kinds)].format(f"{random.getrandbits(40):010x}") for place in range(self.users)]
            for _ in range(self.processes)
        ]


FULL = Scale(processes=3, users=8, readers=8, sessions=500, seconds=3.0, pause=0.5)
SHORT = Scale(processes=2, users=3, readers=2, sessions=40, seconds=1.0, pause=0.15)
