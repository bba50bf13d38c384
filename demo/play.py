"""The demo as a play in three acts: what was there before, the walk, and the judgement."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

from redis import Redis

from chatstore.backends import Backends
from chatstore.local import LocalStack
from chatstore.models import Stage
from chatstore.settings import load_settings
from demo import legacy
from demo.check import BEFORE, Verdict, judge
from demo.director import ENOUGH_WRITES, Director
from demo.fleet import Fleet
from demo.ledger import Call, Effect, Outcome, What, read_ledger
from demo.operations import Operations
from demo.readings import read_chroma, read_postgres, read_redis
from demo.report import Row, Story, rows
from demo.scale import Scale
from demo.team import TEAM

_CHAT = frozenset({What.SESSION, What.MESSAGE})
_DOCUMENTS = frozenset({What.DOCUMENT})
_TEAM_SESSIONS = 3


async def play(scale: Scale, seed: int, folder: Path, stack: LocalStack, story: Story) -> bool:
    """Run the demo on running servers; return whether nothing was lost.

    Raises:
        WalkError: A step of the migration did not end as it should.
        AppFailedError: A process of the app failed.
    """
    random = Random(seed)
    users = scale.user_ids(random)
    before = _write_what_was_before(scale, users, stack, random, story)
    flag_file = folder / "flags.json"
    os.environ |= {**stack.settings.environment(), "CHATSTORE_FLAG_FILE": str(flag_file)}
    async with Backends(load_settings(_env_file=None)) as backends:
        operations = Operations(await backends.chat_sides(), await backends.document_sides(), backends, flag_file)
        operations.set_stage(Stage.OFF)
        async with Fleet(folder, users, seed=seed, pause=scale.pause) as fleet:
            story.tell("app", f"{scale.processes} processes start, to serve {scale.processes * scale.users} users")
            await fleet.start()
            director = Director(operations, fleet, stack, story.tell, seconds=scale.seconds)
            await director.walk()
            await fleet.finish()
        story.tell("judge", "the app has ended; other clients read the servers, and compare with what was acknowledged")
        ledgers = [read_ledger(file) for file in fleet.ledgers]
        calls = before + [call for made, _ in ledgers for call in made]
        verdicts = _judge(stack, calls, director.old_whole_until)
        story.tell("repair", "what was written since only to the new side goes to Redis: the way back")
        await operations.repair_chat()
        verdicts.append(judge("Redis, repaired: the way back", calls, read_redis(stack.redis.url), whats=_CHAT))
    numbers = rows(director.chapters, calls, [counts for _, counts in ledgers])
    story.show_stages(numbers)
    story.show_verdicts(verdicts)
    return _conclude(numbers, verdicts, story)


def _write_what_was_before(
    scale: Scale, users: list[list[str]], stack: LocalStack, random: Random, story: Story
) -> list[Call]:
    """Fill Redis as the app has done until now, and return it as a ledger."""
    everybody = [user_id for process in users for user_id in process]
    sessions = legacy.make_sessions(everybody, scale.sessions, random)
    sessions += legacy.make_sessions([TEAM], _TEAM_SESSIONS, random)
    documents = legacy.make_documents(everybody[:: max(1, len(everybody) // scale.readers)], random)
    with Redis.from_url(stack.redis.url) as redis:
        legacy.write(redis, sessions, documents)
    messages = sum(len(session.messages) for session in sessions)
    story.tell(
        "before",
        f"an app without chatstore has left {len(sessions):,} sessions in many languages, {messages:,} messages and "
        f"{len(documents):,} documents in Redis",
    )
    return [
        *(_written_before(session.user_id, session.effects) for session in sessions),
        *(_written_before(document.user_id, document.effects) for document in documents),
    ]


def _written_before(user_id: str, effects: list[Effect]) -> Call:
    return Call(
        name="write",
        user_id=user_id,
        writer=BEFORE,
        began=0.0,
        ended=0.0,
        outcome=Outcome.ACKNOWLEDGED,
        effects=tuple(effects),
    )


def _judge(stack: LocalStack, calls: list[Call], old_whole_until: float) -> list[Verdict]:
    return [
        judge("Supabase", calls, read_postgres(stack.settings.supabase_db_url), whats=_CHAT),
        judge("Chroma", calls, read_chroma(stack.settings.chroma_url), whats=_DOCUMENTS),
        judge("Redis, when it was left", calls, read_redis(stack.redis.url), until=old_whole_until),
    ]


def _conclude(numbers: list[Row], verdicts: list[Verdict], story: Story) -> bool:
    """Say in one sentence what came out, and return whether it is good."""
    new_side = [verdict for verdict in verdicts if verdict.side in ("Supabase", "Chroma")]
    counts = (
        f"{sum(v.acknowledged for v in new_side):,} acknowledged, {sum(len(v.missing) for v in new_side)} missing, "
        f"{sum(len(v.doubled) for v in new_side)} doubled, {sum(len(v.undead) for v in new_side)} back from the dead"
    )
    idle = [row.chapter.title for row in numbers if row.writes < ENOUGH_WRITES]
    if idle:
        story.say(f"{counts}. But it means nothing: too little was written in: {', '.join(idle)}.", style="bold red")
        return False
    if any(verdict.problems for verdict in verdicts) or any(row.errors or row.stale for row in numbers):
        story.say(f"{counts}. This is not good: see above.", style="bold red")
        return False
    story.say(f"{counts}.", style="bold green")
    story.say("Next, your own data, with its settings in .env.local:  chatstore schema --apply && chatstore migrate")
    return True
