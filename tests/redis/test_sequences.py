"""Messages without ids, while another program changes their list in any way beside chatstore.

A hypothesis state machine on a real server. After every step the list holds, byte for byte, what a model says. Whenever
the session is scanned: reading it again gives the same; ids are unique, and the order is the list's; of equal items as
many keep their ids as are still there, so that what is only moved is never another message, unless the list can be one
that was trimmed, where what is behind the rest is new; and another side that was given all that the scans told holds the
same messages.
"""

import asyncio
import os
from collections import Counter

import pytest
import redis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from chatstore.errors import NotFoundError
from chatstore.models import AppendMessages, ClearMessages, DeleteMessages, EditMessage, NewMessage, PopMessage, Side
from chatstore.redis import RedisChat, connect
from chatstore.testing import MemoryChat
from tests.redis.sequences import SEQUENCES, SESSION, USER

EXAMPLES = int(os.environ.get("CHATSTORE_SEQUENCES", "25"))
PHASES = [Phase.reuse, Phase.generate] if os.environ.get("QUICK") else tuple(Phase)
CONTENTS = st.sampled_from(["a", "b", "c"])
OWN_IDS = st.sampled_from([None, None, "m1", "m2"])
PLACES = st.integers(0, 5)


class Machine(RuleBasedStateMachine):
    """One session that two programs write: another one, and chatstore."""

    def __init__(self, url, name):
        super().__init__()
        self.runner = asyncio.Runner()
        self.redis = redis.Redis.from_url(url)
        self.redis.flushdb()
        self.other = SEQUENCES[name](self.redis)
        self.client = connect(url)
        self.chat = RedisChat(self.client, self.other.layout)
        self.new_side = MemoryChat(Side.NEW)
        self.model = []  # the items, oldest first
        self.seen = []  # (id, item) of each message at the last scan
        self.vanished = False  # whether the list was empty since that scan
        self.gone = set()  # the ids of messages that were deleted

    def run(self, call):
        return self.runner.run(call)

    @initialize(ours=st.booleans(), content=CONTENTS)
    def begin(self, ours, content):
        if ours:
            self.run(self.chat.create_session(USER, session_id=SESSION, title="begun by chatstore"))
        else:
            self.push(content, None, False)

    # Another program.

    @rule(content=CONTENTS, own_id=OWN_IDS, spaced=st.booleans())
    def push(self, content, own_id, spaced):
        item = self.other.item(content, own_id)
        if spaced and self.other.name != "vercel-kv":
            item = item.replace(b":", b" : ", 1)
        self.other.push(item)
        self.model.append(item)

    @precondition(lambda self: self.model)
    @rule(count=PLACES)
    def trim(self, count):
        self.other.trim(count + 1)
        self.model = self.model[-(count + 1) :]

    @precondition(lambda self: self.model)
    @rule()
    def pop(self):
        self.other.pop()
        self.model.pop()

    @precondition(lambda self: self.model)
    @rule(place=PLACES, content=CONTENTS, own_id=OWN_IDS)
    def set(self, place, content, own_id):
        rank, item = place % len(self.model), self.other.item(content, own_id)
        self.other.set(rank, item)
        self.model[rank] = item

    @precondition(lambda self: self.model)
    @rule(place=PLACES)
    def remove(self, place):
        item = self.model[place % len(self.model)]
        self.other.remove(item)
        self.model = self.other.items()

    @precondition(lambda self: self.model)
    @rule(order=st.randoms(use_true_random=False), content=CONTENTS)
    def write_anew(self, order, content):
        items = [*self.model, self.other.item(content)]
        order.shuffle(items)
        self.other.replace(items)
        self.model = items

    @precondition(lambda self: self.model)
    @rule(place=PLACES, content=CONTENTS)
    def write_anew_with_one_between(self, place, content):
        items = list(self.model)
        items.insert(place % len(items), self.other.item(content))
        self.other.replace(items)
        self.model = items

    @rule()
    def vanish(self):
        self.look()
        self.other.clear()
        self.model = []

    # chatstore.

    @rule(content=CONTENTS, count=st.integers(1, 2))
    def append(self, content, count):
        messages = [NewMessage("user", content) for _ in range(count)]
        try:
            self.run(self.chat.write(AppendMessages(user_id=USER, session_id=SESSION, messages=tuple(messages))))
        except NotFoundError:
            assert not self.model
            return
        self.model += [self.other.text_of(message) for message in messages]
        self.look(new=count)
        if len(self.model) >= count:
            assert [one for one, _ in self.seen[-count:]] == [message.id for message in messages]

    @rule(place=PLACES, content=CONTENTS)
    def edit(self, place, content):
        self.look()
        if self.seen:
            rank = place % len(self.seen)
            name = self.seen[rank][0]
            self.run(self.chat.write(EditMessage(user_id=USER, session_id=SESSION, message_id=name, content=content)))
            self.model = [*self.model[:rank], self.other.items()[rank], *self.model[rank + 1 :]]
            self.seen[rank] = (name, self.model[rank])
            assert self.run(self.chat.messages(USER, SESSION))[rank].content == content

    @rule()
    def pop_by_chatstore(self):
        self.look()
        if self.seen:
            popped = self.run(self.chat.write(PopMessage(user_id=USER, session_id=SESSION))).messages
            assert [message.id for message in popped] == [self.seen[-1][0]]
            self.forget(len(self.seen) - 1)

    @rule(place=PLACES)
    def delete(self, place):
        self.look()
        if self.seen:
            rank = place % len(self.seen)
            names = (self.seen[rank][0],)
            self.run(self.chat.write(DeleteMessages(user_id=USER, session_id=SESSION, message_ids=names)))
            self.forget(rank)

    @rule()
    def clear(self):
        self.look()
        if self.seen:
            self.run(self.chat.write(ClearMessages(user_id=USER, session_id=SESSION)))
            self.model, self.seen = [], []

    def forget(self, rank):
        del self.model[rank]
        self.gone.add(self.seen.pop(rank)[0])

    # The other side.

    @rule(content=CONTENTS, own_id=OWN_IDS, beside=st.booleans())
    def append_on_the_other_side(self, content, own_id, beside):
        self.look()
        if not self.seen:
            return
        message = NewMessage("user", content)
        written = self.run(self.new_side.write(AppendMessages(user_id=USER, session_id=SESSION, messages=(message,))))
        if beside:
            self.push(content, own_id, False)
        self.run(self.chat.put([written.change]))
        # Both may have taken the same place; then the ids decide.
        expected = Counter([*self.model, self.other.text_of(message)])
        self.model = self.other.items()
        assert Counter(self.model) == expected
        self.seen = []
        self.look()
        assert message.id in dict(self.seen)

    @rule(place=PLACES, content=CONTENTS)
    def edit_on_the_other_side(self, place, content):
        self.look()
        if self.seen:
            rank = place % len(self.seen)
            name = self.seen[rank][0]
            written = self.run(
                self.new_side.write(EditMessage(user_id=USER, session_id=SESSION, message_id=name, content=content))
            )
            self.run(self.chat.put([written.change]))
            self.model = [*self.model[:rank], self.other.items()[rank], *self.model[rank + 1 :]]
            self.seen[rank] = (name, self.model[rank])

    @rule(place=PLACES)
    def delete_on_the_other_side(self, place):
        self.look()
        if self.seen:
            rank = place % len(self.seen)
            names = (self.seen[rank][0],)
            written = self.run(self.new_side.write(DeleteMessages(user_id=USER, session_id=SESSION, message_ids=names)))
            self.run(self.chat.put([written.change]))
            self.forget(rank)

    # What must hold.

    @rule()
    def scan(self):
        self.look()

    def look(self, *, new=0):
        """Scan, and check what is told; `new` messages at the end are chatstore's own, after what another program did."""
        change, again = self.scanned(), self.scanned()
        assert change == again, "reading it again gives something else"
        if change is None:
            # Nothing of the session is there, nor was it ever chatstore's: it may have expired.
            assert not self.model
            self.seen = []
            if held := self.run(held_by(self.new_side)):
                self.bring_back(held)
            return
        messages = sorted(change.messages, key=lambda message: message.order)
        assert len({message.id for message in messages}) == len(messages)
        assert not {message.id for message in messages} & self.gone
        assert [self.other.text_of(message) for message in messages] == self.model
        now = [(message.id, item) for message, item in zip(messages, self.model, strict=True)]
        before_by_id = dict(self.seen)
        for name, item in now:
            if name in before_by_id:
                assert self.other.key_of(before_by_id[name]) == self.other.key_of(item), "an id passed to another item"
        if self.model and not self.was_trimmed(now):
            kept = Counter(self.other.key_of(item) for name, item in now if name in before_by_id)
            were = Counter(self.other.key_of(item) for _, item in self.seen)
            are = Counter(map(self.other.key_of, self.model[: len(self.model) - new]))
            assert kept == were & are, "an item that is there has another id"
        self.run(self.new_side.put([change]))
        held = self.run(self.new_side.messages(USER, SESSION))
        if self.vanished and held != messages:
            # A list that vanished is no deletion: what the other side has comes back, before what was written since.
            assert [message for message in held if message in messages] == messages
            assert not messages or held[-len(messages) :] == messages
            self.bring_back(held)
        else:
            assert held == messages
            self.gone |= {name for name, _ in self.seen} - {name for name, _ in now}
            self.seen = now
        self.vanished = False

    def was_trimmed(self, now):
        """Return whether the list is what is left of the oldest ones on, each with its id, and then new messages only."""
        ids = {name for name, _ in self.seen}
        kept = sum(name in ids for name, _ in now)
        return 0 < kept < len(self.seen) and now[:kept] == self.seen[len(self.seen) - kept :]

    def bring_back(self, held):
        [change] = self.run(fetched(self.new_side))
        self.run(self.chat.put([change]))
        self.model = [self.other.text_of(message) for message in held]
        self.seen = [(message.id, item) for message, item in zip(held, self.model, strict=True)]
        assert self.other.items() == self.model
        assert self.run(self.chat.messages(USER, SESSION)) == held

    def scanned(self):
        changes, bad = self.run(whole(self.chat))
        assert bad == []
        return changes[0] if changes and changes[0].session else None

    def check_invariants(self, *arguments, **options):
        super().check_invariants(*arguments, **options)
        assert self.other.items() == self.model
        self.vanished = self.vanished or not self.model

    def teardown(self):
        self.run(self.chat.close())
        self.run(self.client.aclose())
        self.redis.close()
        self.runner.close()


async def whole(side):
    changes, bad = [], []
    async for page in side.scan():
        changes += page.changes
        bad += page.quarantined
    return changes, bad


async def held_by(side):
    try:
        return await side.messages(USER, SESSION)
    except NotFoundError:
        return []


async def fetched(side):
    return [change async for page in side.fetch([SESSION]) for change in page.changes]


@pytest.mark.parametrize("name", SEQUENCES)
def test_messages_keep_their_ids_whatever_another_program_does_to_their_list(redis_database, name):
    run_state_machine_as_test(
        lambda: Machine(redis_database, name),
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=20,
            deadline=None,
            phases=PHASES,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
