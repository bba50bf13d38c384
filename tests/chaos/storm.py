"""A migration in a storm: an app's processes at any stages, killed and started again, beside a migrator and repairers
that are killed as well; and what must have come of it.
"""

import asyncio
import time
from collections import Counter, defaultdict
from contextlib import asynccontextmanager
from itertools import count
from random import Random

from redis import Redis

from chatstore.backends import Backends
from chatstore.migration import verify_chat, verify_documents
from chatstore.migration.patience import Patience
from chatstore.models import Kind, Stage
from chatstore.routing import chat_repairer, document_repairer
from demo import legacy
from demo.check import BEFORE, judge, too_little
from demo.ledger import Call, Outcome, What, read_ledger
from demo.readings import read_chroma, read_postgres, read_redis
from tests.chaos import app, plan
from tests.chaos.fleet import Fleet
from tests.chaos.stacks import settings_for
from tests.chaos.stages import StageFile
from tests.chaos.users import WRITES

CHAT = frozenset({What.SESSION, What.MESSAGE})
DOCUMENTS = frozenset({What.DOCUMENT})
SESSIONS_BEFORE = 400  # several pages for a migrator, so that a kill finds it between two
MIGRATED_WITHIN = 120.0
REPAIRED_WITHIN = 120.0


class Storm:
    """One run over a stack of its own.

    Args:
        stack: The servers; nothing lies on them yet.
        folder: Where ledgers and logs go.
        seed: Decides what happens when, as `tests.chaos.plan` says.
    """

    def __init__(self, stack, folder, seed):
        self.place = app.Place(stack.settings.environment(), folder, plan.USERS)
        self.fleet = Fleet(self.place, seed)
        self._stack = stack
        self._seed = seed
        self._file = StageFile(folder / "stages.json")
        self._stages = {}
        self._before = []
        self._began = time.monotonic()

    def say(self, what):
        """Tell the run's story: it is shown when a test fails."""
        print(f"{time.monotonic() - self._began:6.1f} s  {what}")

    # What was there before

    def fill(self):
        """Leave in Redis what an app leaves there that has never heard of chatstore."""
        users = plan.USERS
        stacks = [legacy.LegacySession(f"{user}-stack", user, "stack", "", 1, ()) for user in users]
        sessions = [_before(number, users[number % len(users)]) for number in range(SESSIONS_BEFORE)] + stacks
        documents = legacy.make_documents(list(users), Random(self._seed))
        with Redis.from_url(self._stack.redis.url) as redis:
            legacy.write(redis, sessions, documents)
        for record in (*sessions, *documents):
            self._before.append(
                Call(
                    name="write",
                    user_id=record.user_id,
                    writer=BEFORE,
                    began=0.0,
                    ended=0.0,
                    outcome=Outcome.ACKNOWLEDGED,
                    effects=tuple(record.effects),
                )
            )

    # What happens

    def set_stages(self, stage, slot=None, user=None):
        for slot_set in plan.SLOTS if slot is None else (slot,):
            for user_set in plan.USERS if user is None else (user,):
                self._stages.setdefault(str(slot_set), {})[user_set] = stage.value
        self._file.write(self._stages)

    async def start(self):
        self.set_stages(Stage.OFF)
        await asyncio.gather(*(self.fleet.start(slot) for slot in plan.SLOTS))
        await self.fleet.start_other(plan.REPAIRER, app.repair)
        await self.fleet.serving(plan.SLOTS)

    @asynccontextmanager
    async def flipping(self, part, stages):
        """Flip users to any of some stages, in single processes or in all, for the length of the block."""
        task = asyncio.create_task(self._flip(part, stages))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _flip(self, part, stages):
        for flip in plan.flips(self._seed, part, stages):
            await asyncio.sleep(flip.after)
            self.set_stages(flip.stage, flip.slot, flip.user)

    async def kill(self, part, times):
        """Kill processes and start them again."""
        for kill in plan.kills(self._seed, part, times):
            await asyncio.sleep(kill.after)
            self.say(f"killed: {kill.slot}")
            await self.fleet.kill(kill.slot)
            if kill.slot == plan.REPAIRER:
                await self.fleet.start_other(plan.REPAIRER, app.repair)
            else:
                await self.fleet.start(kill.slot)

    async def kill_servers(self, part):
        """Kill each server once, as a crash would, and start it again."""
        for outage in plan.outages(self._seed, part):
            server = getattr(self._stack, outage.server)
            await asyncio.sleep(outage.after)
            self.say(f"killed: {outage.server}, for {outage.lasts:.1f} s")
            await asyncio.to_thread(server.kill)
            await asyncio.sleep(outage.lasts)
            await asyncio.to_thread(server.start)
            # Supabase's local server may not survive the death of its database.
            for dead in self._stack.dead():
                await asyncio.to_thread(dead.start)

    async def migrate(self, part, kills):
        """Run a migrator, kill it again and again in the middle, and let the last one come to its end."""
        for number, moves in enumerate([*plan.moves(self._seed, part, kills), None]):
            name = f"migrator-{part}-{number}"
            running = await self.fleet.start_other(name, app.migrate)
            if moves is None:
                await asyncio.to_thread(running.heard, app.DONE, MIGRATED_WITHIN)
                self.say(f"migrated: {part}")
            else:
                await asyncio.to_thread(running.heard, app.MOVED, MIGRATED_WITHIN, moves)
                await self.fleet.kill(name)

    async def finish(self):
        await self.fleet.kill(plan.REPAIRER)
        await self.fleet.finish(plan.SLOTS)

    # What must have come of it

    async def problems(self, least):
        """Copy and merge what is left, and return what is wrong then, or was done less often than `least`."""
        await self.settle()
        return [*self.judge(), *await self.verify(), *self.too_little(least)]

    async def verify(self):
        """Return the differences that chatstore itself finds."""
        self.say("verify")
        async with Backends(settings_for(self._stack)) as backends:
            found = []
            for kind, sides, check, repairer in (
                (Kind.CHAT, await backends.chat_sides(), verify_chat, chat_repairer),
                (Kind.DOCUMENTS, await backends.document_sides(), verify_documents, document_repairer),
            ):
                repair = repairer(sides).run
                found += (await check(sides.old, sides.new, backends.progress(kind), repair=repair)).differences
            self.say("verified")
            return found

    async def settle(self):
        """Copy and merge until no mark is left."""
        self.say("settle")
        with app.short_leases():
            await app.backfill(settings_for(self._stack), Patience(first=0.1, longest=0.5, limit=30))
            await self._repair()
        self.say("settled")

    async def _repair(self):
        async with Backends(settings_for(self._stack)) as backends:
            chat, documents = await backends.chat_sides(), await backends.document_sides()
            async with asyncio.timeout(REPAIRED_WITHIN):
                for sides, repairer in ((chat, chat_repairer), (documents, document_repairer)):
                    while (await sides.backlog()).marks:
                        await repairer(sides).run()
                        await asyncio.sleep(0.2)  # for leases to end, which nobody announces

    def calls(self):
        ledgers = [read_ledger(file)[0] for file in self.fleet.ledgers if file.exists()]
        return self._before + [call for ledger in ledgers for call in ledger]

    def judge(self):
        """Return what is wrong, each problem in a line."""
        calls = self.calls()
        self.say(f"judge: {Counter(str(call.outcome) for call in calls)}, {self.fleet.kills} kills")
        old = read_redis(self._stack.redis.url)
        chat, documents = read_postgres(self._stack.settings.supabase_db_url), read_chroma(self._stack.chroma.url)
        verdicts = [
            judge("Redis", calls, old),
            judge("Supabase", calls, chat, whats=CHAT),
            judge("Chroma", calls, documents, whats=DOCUMENTS),
        ]
        problems = [f"{verdict.side}: {problem}" for verdict in verdicts for problem in verdict.problems]
        problems += [f"{call.user_id}: {call.detail}" for call in calls if call.outcome is Outcome.STALE]
        return problems + _unlike(old, [*chat, *documents])

    def too_little(self, least):
        """Return which kinds of write were acknowledged too seldom for a verdict to mean anything."""
        return too_little(self.calls(), WRITES, least)


def _before(number, user):
    turns = (legacy.LegacyMessage(f"before{number}-{place}", "user", f"turn {place}") for place in range(2))
    return legacy.LegacySession(
        f"before{number}", user, f"title {number}", "", 1_700_000_000_000 + number, tuple(turns)
    )


def _unlike(old, new):
    """Return what one side holds and the other one does not, or not at the same place of its session."""
    old, new = (_placed(side) for side in (old, new))
    differing = [key for key in old.keys() | new.keys() if old.get(key) != new.get(key)]
    return [f"{what} {name} differs: {old.get((what, name))}, {new.get((what, name))}" for what, name in differing]


def _placed(side):
    places = defaultdict(count)
    return {(seen.what, seen.id): (seen, seen.session_id and next(places[seen.session_id])) for seen in side}
