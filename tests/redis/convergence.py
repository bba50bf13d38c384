"""Commands drawn at random, done on two sides whose changes arrive late, in any order, and twice; and what comes of it."""

from __future__ import annotations

from chatstore.errors import ConflictError, NotFoundError
from chatstore.models import (
    AppendMessages,
    ClearMessages,
    CreateSession,
    DeleteMessages,
    DeleteSession,
    EditMessage,
    NewMessage,
    PopMessage,
    UpdateSession,
)

SESSIONS = ("s", "t")
MESSAGES = tuple("abcdefgh")


def command(rng, step):
    session = rng.choice(SESSIONS)
    own = {"user_id": "ann", "session_id": session}
    # In the layout `hash` a message's id is one of the whole database's.
    names = [f"{session}-{name}" for name in rng.sample(MESSAGES, rng.randint(1, 3))]
    new = tuple(NewMessage("user", f"{name} at {step}", id=name, metadata={"step": step}) for name in names)
    return rng.choice(
        [
            CreateSession(**own, title=f"at {step}"),
            UpdateSession(**own, title=f"now {step}"),
            AppendMessages(**own, messages=new),
            AppendMessages(**own, messages=new),
            AppendMessages(**own, messages=new[:1], replace=True),
            EditMessage(**own, message_id=names[0], content=f"edited at {step}"),
            PopMessage(**own),
            DeleteMessages(**own, message_ids=tuple(names[:1])),
            ClearMessages(**own),
            DeleteSession(**own),
        ]
    )


async def states(side):
    found = {}
    for session in SESSIONS:
        parts = [change async for page in side.fetch([session]) for change in page.changes]
        messages = [message for part in parts for message in part.messages]
        tombstones = sorted((t.id, t.version) for part in parts for t in part.tombstones)
        assert messages == sorted(messages, key=lambda message: message.order)
        found[session] = [(p.session, p.deleted, p.cleared) for p in parts[:1]], messages, tombstones
    return found


async def whole(side):
    return [change async for page in side.fetch(SESSIONS) for change in page.changes]


class Underway:
    """The changes that are on the way to a side."""

    def __init__(self, rng, most):
        self._rng, self._most = rng, most
        self._sent = []

    async def send(self, side, changes):
        """Send changes, once or twice; when too many are on the way some arrive, whichever they are."""
        self._sent += [(side, change) for change in changes] * self._rng.choice([1, 1, 2])
        self._rng.shuffle(self._sent)
        while len(self._sent) > self._most:
            await self._arrive()

    async def all_arrive(self):
        while self._sent:
            await self._arrive()

    async def _arrive(self):
        side, change = self._sent.pop()
        await side.put([change])


async def done(side, made):
    """Return the changes that a command made; none where it cannot be done."""
    try:
        written = await side.write(made)
    except (NotFoundError, ConflictError):
        return []
    return [written.change] if written.change is not None else []


async def write_on_both(rng, ours, memory, steps):
    """Do commands on either side, and bring each change to the other at once."""
    for step in range(steps):
        side, other = rng.choice([(ours, memory), (memory, ours)])
        await other.put(await done(side, command(rng, step)))


async def join(ours, memory):
    """Bring all of each side to the other."""
    for side, other in [(ours, memory), (memory, ours), (ours, memory)]:
        await other.put(await whole(side))
