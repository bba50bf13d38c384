"""The conformance suite of journals; its fixture is `journal`."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from chatstore.interfaces import Journal
from chatstore.models import Mark, Side, Stage, new_id, utc_now


class JournalSuite:
    """What the router and the repairer may rely on, of any `Journal`. Other marks than the test's may be there."""

    async def test_marks_come_back_as_they_are(self, journal: Journal) -> None:
        user = new_id()
        plain = self._mark(user, "k", at=utc_now())
        rich = replace(
            self._mark(user, 'k"\\:*\x00é', at=utc_now() + timedelta(microseconds=1)),
            message_ids=("m1", "m:2"),
            lease_until=utc_now() + timedelta(seconds=60),
            side=Side.NEW,
        )
        await journal.add([plain, rich])
        assert list(await journal.marks_of(user)) == [plain, rich]
        assert list(await journal.marks_of(user, [rich.key])) == [rich]
        assert list(await journal.marks_of(new_id())) == []

    async def test_cleared_marks_are_gone_and_clearing_again_is_harmless(self, journal: Journal) -> None:
        user = new_id()
        marks = [self._mark(user, "k") for _ in range(3)]
        await journal.add(marks)
        await journal.clear(marks[:2])
        await journal.clear(marks[:2])
        assert list(await journal.marks_of(user)) == marks[2:]

    async def test_marks_are_listed_oldest_first_in_pages(self, journal: Journal) -> None:
        user = new_id()
        start = datetime(2000, 1, 1, tzinfo=UTC)
        marks = [self._mark(user, str(i), at=start + timedelta(microseconds=i)) for i in range(7)]
        await journal.add(marks[::-1])
        first = await journal.marks(limit=4)
        second = await journal.marks(limit=4, after=first[-1])
        assert [*first, *second][:7] == marks
        await journal.clear(first)
        assert list(await journal.marks(limit=2, after=first[-1])) == marks[4:6]

    async def test_a_walk_meets_every_mark_though_they_are_cleared_on_the_way_and_ends(self, journal: Journal) -> None:
        user, start = new_id(), utc_now()
        marks = [self._mark(user, str(i), at=start - timedelta(seconds=i)) for i in range(9)]
        kept = replace(self._mark(user, "kept", at=start - timedelta(days=1)), while_open=True)
        await journal.remember(journal_open=True)
        await journal.add([*marks, kept])
        met: set[str] = set()
        async for page in journal.walk(until=start, page=2):
            met.update(mark.token for mark in page)
            await journal.clear([mark for mark in page if mark in marks])
            await journal.add([self._mark(user, "new", at=utc_now() + timedelta(seconds=len(met)))])
        assert met >= {mark.token for mark in (*marks, kept)}
        seen = [mark async for page in journal.walk(until=start, page=2, one_sided=False) for mark in page]
        assert kept not in seen
        await journal.forget_state()

    async def test_the_backlog_tells_how_many_and_how_old(self, journal: Journal) -> None:
        before = await journal.backlog()
        oldest = self._mark(new_id(), "k", at=datetime(1999, 1, 1, tzinfo=UTC))
        await journal.add([oldest, self._mark(new_id(), "k")])
        backlog = await journal.backlog()
        assert (backlog.marks - before.marks, backlog.oldest) == (2, oldest.at)
        await journal.clear([oldest])
        assert (await journal.backlog()).marks == before.marks + 1

    async def test_a_mark_that_stands_alone_is_cleared(self, journal: Journal) -> None:
        user = new_id()
        mark, elsewhere = self._mark(user, "k"), self._mark(user, "other")
        await journal.add([mark, elsewhere])
        assert list(await journal.clear_alone([mark])) == []
        assert list(await journal.marks_of(user)) == [elsewhere]

    async def test_a_mark_beside_a_foreign_one_is_left(self, journal: Journal) -> None:
        user = new_id()
        mine, foreign, alone = self._mark(user, "k"), self._mark(user, "k"), self._mark(user, "alone")
        await journal.add([mine, foreign, alone])
        assert list(await journal.clear_alone([mine, alone])) == [mine]
        assert {mark.token for mark in await journal.marks_of(user)} == {mine.token, foreign.token}
        assert list(await journal.clear_alone([mine], own=[foreign])) == []
        assert list(await journal.marks_of(user)) == [foreign]

    async def test_marks_of_keys_that_begin_alike_are_told_apart(self, journal: Journal) -> None:
        user = new_id()
        marks = [self._mark(user, key) for key in ("k", "k\x00", "k\x00k", "k\x01", "kk", "\x00k")]
        await journal.add(marks)
        for mark in marks:
            assert list(await journal.marks_of(user, [mark.key, mark.key])) == [mark]
            assert list(await journal.clear_alone([mark])) == []
        assert list(await journal.marks_of(user)) == []

    async def test_the_state_is_remembered_field_by_field(self, journal: Journal) -> None:
        await journal.forget_state()
        assert (await journal.state()).stage is None
        await journal.remember(journal_open=True, stage=Stage.SHADOW)
        now = utc_now()
        await journal.remember(verified_at=now)
        state = await journal.state()
        assert (state.journal_open, state.stage, state.verified_at) == (True, Stage.SHADOW, now)
        assert state.verified
        await journal.remember(differed_at=now + timedelta(seconds=1))
        assert not (await journal.state()).verified
        await journal.remember(journal_open=False)
        assert not (await journal.state()).journal_open
        await journal.forget_state()
        assert (await journal.state()).verified_at is None

    def _mark(self, user: str, key: str, *, at: datetime | None = None) -> Mark:
        return Mark(key=key, user_id=user, side=Side.OLD, op="test", at=at or utc_now())
