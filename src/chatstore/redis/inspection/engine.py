"""Looking at a Redis: which layouts are there, how much of each, and what a migration would make of it."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

from redis.exceptions import RedisError

from chatstore.errors import ConfigurationError
from chatstore.models import Kind
from chatstore.models.ownership import Owners, Users
from chatstore.redis.client import AppClient, Client
from chatstore.redis.cluster import Cluster
from chatstore.redis.connecting import take_over
from chatstore.redis.inspection.candidates import candidates
from chatstore.redis.inspection.checking import Checks
from chatstore.redis.inspection.claiming import OUR_OWN, Candidate, Claim, claim
from chatstore.redis.inspection.estimating import Scale
from chatstore.redis.inspection.grouping import Party
from chatstore.redis.inspection.indexes import all_indexes
from chatstore.redis.inspection.parties import Circumstances, Parties
from chatstore.redis.inspection.peeking import Met, Peeker, is_refusal, said_by
from chatstore.redis.inspection.reading import Reader, reader_of
from chatstore.redis.inspection.records import ChatReader
from chatstore.redis.inspection.report import Inspection
from chatstore.redis.inspection.unclaimed import UnclaimedKeys
from chatstore.redis.layouts.chatstore_chat import ChatstoreChat
from chatstore.redis.layouts.chatstore_documents import ChatstoreDocuments

SAMPLE = 5_000
"""How many keys are looked at where nobody says another number."""

_HOLDING_RECORDS = (ChatstoreChat.default_prefix, ChatstoreDocuments.prefix)
_AT_ONCE = 250
_LEARNED_OF = 2_000
_READ_OF_GROUP, _READ_OF_LAYOUT = 500, 2_000
_MESSAGES_OF_SAMPLE, _MESSAGES_OF_ALL = 100, 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How an inspection goes about.

    Attributes:
        sample: How many keys are looked at; None: all.
        commands_per_second: How many commands the server gets a second, at most; None: as many as it answers.
        owners: Whose records are, by kind, for layouts that do not say.
        users: What the users' ids in Redis have become; the same when left out.
        checks: Which limits of the targets a record meets.
        on_progress: Told how many keys were looked at, of how many.
    """

    sample: int | None = SAMPLE
    commands_per_second: float | None = None
    owners: Mapping[Kind, Owners] = field(default_factory=dict)
    users: Users | None = None
    checks: Checks = field(default_factory=Checks)
    on_progress: Callable[[int, int], None] | None = None


async def inspect(client: AppClient, options: Options | None = None) -> Inspection:
    """Return what lies in a Redis.

    It only reads, in small steps, and never all of a large value. A sample is what a `SCAN` gives first: that is as
    good as drawn by lot, as the server keeps keys in an order of hashes. What the user may not ask, or the server does
    not know, is done without, and told. While it runs, others may write: then the figures are of no one moment.

    Args:
        client: A client of redis-py, the app's own (it stays open) or one of `connect`.
        options: How.

    Raises:
        UnavailableError: The server does not answer.
        ConfigurationError: It does not let the user look at keys at all.
    """
    connection = take_over(client)
    try:
        return await _Inspector(connection, options or Options()).run()
    finally:
        if connection is not client:
            await connection.aclose()


class _Inspector:
    def __init__(self, client: Client, options: Options) -> None:
        self._client = client
        self._options = options
        self._reader = reader_of(client, options.commands_per_second)
        self._nodes: list[Reader] = [self._reader]
        self._peeker = Peeker(self._reader)
        self._unclaimed = UnclaimedKeys()
        self._gaps: list[str] = []
        self._own = 0
        self._looked_at = 0
        self._read: Counter[tuple[Kind, str]] = Counter()

    async def run(self) -> Inspection:
        begun = time.monotonic()
        if isinstance(self._client, Cluster):
            pace = self._options.commands_per_second
            self._nodes = [reader_of(node, pace) for node in (await self._client.primaries()).values()]
        server = await self._server()
        elsewhere = await self._elsewhere()
        total = await self._total()
        indexes, refusal = await all_indexes(self._reader)
        if refusal is not None:
            self._gaps.append(f"search indexes could not be seen (FT._LIST, FT.INFO): {refusal}")
        known = await candidates(self._reader, indexes)
        options = self._options
        parties = Parties(
            Circumstances(
                reader=self._reader,
                indexes=indexes,
                owners=options.owners,
                users=options.users,
                checks=options.checks,
                messages=_MESSAGES_OF_ALL if options.sample is None else _MESSAGES_OF_SAMPLE,
            )
        )
        complete = await self._walk(known, parties, total)
        if complete:
            total = self._looked_at
        scale = Scale(max(total or 0, self._looked_at), self._looked_at, complete)
        groups = sorted((party.group(scale) for party in parties), key=lambda group: -group.size)
        return Inspection(
            server=server,
            address=self._client.address,
            keys=scale.total,
            looked_at=self._looked_at,
            unseen=scale.unseen,
            complete=complete,
            seconds=time.monotonic() - begun,
            groups=groups,
            own=scale.of(self._own),
            elsewhere=elsewhere,
            unclaimed=self._unclaimed.told(scale),
            gaps=[*self._gaps, *self._refused(parties), *self._told_gaps()],
        )

    async def _walk(self, known: list[Candidate], parties: Parties, total: int | None) -> bool:
        """Look at the keys, and return whether all were looked at."""
        wanted = self._options.sample
        first: list[tuple[Met, Claim | None]] = []
        learned = False
        async for met_now, is_last in self._keys():
            left = len(met_now) if wanted is None else wanted - self._looked_at
            keys = met_now[:left]
            met = await self._peeker.peek([key for key in keys if not _is_ours(key)])
            self._own += sum(map(_is_ours, keys))
            self._looked_at += len(keys)
            claimed = [(one, claim(one, known)) for one in met]
            if not learned:
                first += claimed
                if len(first) >= _LEARNED_OF or is_last:
                    await self._learn(first, parties)
                    learned, first = True, []
            else:
                await self._take(claimed, parties)
            if self._options.on_progress is not None:
                self._options.on_progress(self._looked_at, min(total or self._looked_at, wanted or total or 0))
            if wanted is not None and self._looked_at >= wanted and not (is_last and len(keys) == len(met_now)):
                if not learned:
                    await self._learn(first, parties)
                return False
        return True

    async def _keys(self) -> AsyncIterator[tuple[list[bytes], bool]]:
        """Yield the keys of all nodes, some of each in turn, and whether these are the last ones."""
        cursors = dict.fromkeys(self._nodes, 0)
        while cursors:
            for node, cursor in list(cursors.items()):
                following, found = await node.ask("SCAN", cursor, "COUNT", _AT_ONCE)
                cursors[node] = int(following)
                if not int(following):
                    del cursors[node]
                yield list(dict.fromkeys(found)), not cursors

    async def _learn(self, first: list[tuple[Met, Claim | None]], parties: Parties) -> None:
        await parties.learn([(met, made) for met, made in first if made is not None])
        for start in range(0, len(first), _AT_ONCE):
            await self._take(first[start : start + _AT_ONCE], parties)

    async def _take(self, claimed: list[tuple[Met, Claim | None]], parties: Parties) -> None:
        """Count some keys, and read the records that are theirs."""
        to_read: dict[int, tuple[Party, list[Met]]] = {}
        for met, made in claimed:
            party = None if made is None else await parties.of(met, made)
            if made is not None and party is not None:
                party.add(met, made)
            else:
                party = parties.taking(met)
                if party is None:
                    self._unclaimed.add(met)
                    continue
            to_read.setdefault(id(party), (party, []))[1].append(met)
        for party, keys in to_read.values():
            layout = party.candidate.kind, party.layout.name
            left = None
            if self._options.sample is not None:
                left = max(0, min(_READ_OF_GROUP - party.asked, _READ_OF_LAYOUT - self._read[layout]))
            self._read[layout] += await party.read(keys, left)
            if isinstance(party.reader, ChatReader):
                await party.reader.look_for_lost(keys)

    async def _server(self) -> str:
        [about] = await self._reader.ask_all([("INFO", "server")])
        if not isinstance(about, Mapping):
            return ""
        name = about.get("server_name") or ("valkey" if "valkey_version" in about else "redis")
        version = about.get(f"{name}_version") or about.get("redis_version") or ""
        return f"{str(name).capitalize()} {version}".strip()

    async def _elsewhere(self) -> dict[int, int]:
        """Return how many keys the server's other databases have, as far as it says."""
        [about] = await self._reader.ask_all([("INFO", "keyspace")])
        if not isinstance(about, Mapping) or self._client.is_cluster:
            return {}
        here = self._database()
        sizes = {name: told.get("keys", 0) for name, told in about.items() if isinstance(told, Mapping)}
        numbers = {int(name.removeprefix("db")): int(size) for name, size in sizes.items() if name.startswith("db")}
        return {number: size for number, size in sorted(numbers.items()) if number != here and size}

    def _database(self) -> int:
        pool = getattr(self._client, "connection_pool", None)
        return int(pool.connection_kwargs.get("db") or 0) if pool is not None else 0

    async def _total(self) -> int | None:
        """Return how many keys there are; None where the server does not say."""
        total = 0
        for node in self._nodes:
            [answer] = await node.ask_all([("DBSIZE",)])
            if isinstance(answer, RedisError):
                if not is_refusal(answer):
                    raise ConfigurationError(said_by(answer)) from answer
                self._gaps.append(
                    f"how many keys there are (DBSIZE); the figures are of those that were looked at: {said_by(answer)}"
                )
                return None
            total += int(answer)
        return total

    def _refused(self, parties: Parties) -> list[str]:
        """Return why the records of some groups could not be read."""
        groups: dict[str, dict[str, None]] = defaultdict(dict)
        for party in parties:
            if party.reader.refusal is not None:
                groups[party.reader.refusal][f"{party.layout.name} ({party.candidate.kind})"] = None
        return [f"what would be quarantined of {', '.join(names)}: {why}" for why, names in groups.items()]

    def _told_gaps(self) -> list[str]:
        return [f"{what} ({command})" for command, what in self._peeker.gaps.items()]


def _is_ours(key: bytes) -> bool:
    """Return whether a key is one of ours that holds no record, a ledger's say."""
    return key.startswith(OUR_OWN) and not key.startswith(_HOLDING_RECORDS)
