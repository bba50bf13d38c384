"""What a seed decides: who is killed when, and who flips to which stage when. Only the machine's own timing is not in it."""

from dataclasses import dataclass
from random import Random

from chatstore.models import Stage

USERS = ("amy", "bob|1", "Zoë@example.com")
SLOTS = (0, 1, 2, 3)
SERVERS = ("redis", "postgres", "supabase", "chroma")
REPAIRER = "repairer"
BEFORE_VERIFIED = (Stage.OFF, Stage.DUALWRITE, Stage.SHADOW)
BETWEEN_KILLS = 0.3
BETWEEN_FLIPS = 0.2


@dataclass(frozen=True)
class Kill:
    """After so many seconds one process is killed and started again, whether it serves already or not."""

    after: float
    slot: int | str


@dataclass(frozen=True)
class Flip:
    """After so many seconds a user, or everybody (None), flips in one process, or in all of them (None)."""

    after: float
    slot: int | None
    user: str | None
    stage: Stage


def kills(seed, part, count):
    random = Random(f"{seed} kills {part}")
    for _ in range(count):
        yield Kill(random.uniform(0.1, 2 * BETWEEN_KILLS - 0.1), random.choice([*SLOTS, *SLOTS, REPAIRER]))


def flips(seed, part, stages):
    random = Random(f"{seed} flips {part}")
    while True:
        slot = random.choice([*SLOTS, *SLOTS, None])
        user = random.choice([*USERS, *USERS, None])
        yield Flip(random.uniform(0.05, 2 * BETWEEN_FLIPS - 0.05), slot, user, random.choice(stages))


@dataclass(frozen=True)
class Outage:
    """After so many seconds a server is killed, and started again so many seconds later."""

    after: float
    server: str
    lasts: float


def outages(seed, part):
    """One outage of each server, in any order."""
    random = Random(f"{seed} servers {part}")
    for server in random.sample(SERVERS, len(SERVERS)):
        yield Outage(random.uniform(0.2, 0.8), server, random.choice([0.0, random.uniform(0.0, 1.2)]))


def moves(seed, part, count):
    """How often a migrator tells that it has moved on, each time, before it is killed."""
    random = Random(f"{seed} migrator {part}")
    return [random.randint(1, 4) for _ in range(count)]
