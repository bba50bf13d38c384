"""What the users of a killed app do: everything, at once, to the same few records.

Most sessions and documents are everybody's, so that processes at different stages meet at the same keys. Some session
ids come back after a deletion. One session an actor keeps to itself: what it reads there must be what it wrote.
"""

import asyncio

from chatstore.errors import ChatStoreError
from chatstore.models import Embedding, NewDocument, NewMessage
from chatstore.routing.stages import ROUTES
from demo.check import POP
from demo.digest import digest
from demo.ledger import ALL, ONE, Effect, StaleReadError, What

PAUSE = 0.05
DOCUMENTS = 6
RETURNING = ("pool1", "pool2")
DIMENSION = 256  # as those that were there before: a collection takes one only
HABITS = {
    "append": 14,
    "append_two": 4,
    "append_to_own": 10,
    "delete_from_own": 3,
    "read_own": 8,
    "edit": 8,
    "delete_messages": 4,
    "pop": 4,
    "clear": 1,
    "replace": 1,
    "rename": 4,
    "create": 3,
    "create_again": 6,
    "delete_session": 3,
    "upsert": 6,
    "delete_document": 3,
    "read_own_document": 2,
}
WRITES = ("append", "edit", "delete_messages", "pop", "clear", "replace", "rename", "create", "create_again")
WRITES += ("delete_session", "upsert", "delete_document")


class Actor:
    """Does one thing after the other, in the name of any user."""

    def __init__(self, name, users, stores, ledger, *, random, missed):
        self._name = name
        self._users = users
        self._chat = stores.chat
        self._documents = stores.documents
        self._ledger = ledger
        self._random = random
        self._missed = missed
        self._shared = {user: [] for user in users}
        self._own = None
        self._said = []
        self._count = 0

    async def act(self, stop):
        while not stop.is_set():
            user = self._random.choice(self._users)
            (habit,) = self._random.choices(list(HABITS), list(HABITS.values()))
            try:
                await getattr(self, habit)(user)
            except (ChatStoreError, StaleReadError):
                if habit.endswith("own"):
                    self._own = None
            await asyncio.sleep(self._random.expovariate(1 / PAUSE))

    # Everybody's sessions

    async def append(self, user, count=1):
        session = await self._session(user)
        messages = [NewMessage("user", self._text("said")) for _ in range(count)]
        with self._call("append", user, *[_said(session, message) for message in messages]):
            await self._chat.append(user, session, messages)

    async def append_two(self, user):
        await self.append(user, 2)

    async def edit(self, user):
        session, message = await self._message(user)
        text = self._text("edited")
        with self._call("edit", user, _effect(What.MESSAGE, message, text, session)):
            await self._chat.edit_message(user, session, message, content=text)

    async def delete_messages(self, user):
        session, message = await self._message(user)
        await self._delete(user, session, message)

    async def _delete(self, user, session, message):
        effect = _effect(What.MESSAGE, message, None, session)
        with self._call("delete_messages", user, effect) as made:
            deleted = await self._chat.delete_messages(user, session, [message])
            made.effects = [effect] * deleted

    async def pop(self, user):
        session = f"{user}-stack"
        async with self._chat.turn(user, session) as stage:
            side = str(ROUTES[stage].first)
            with self._call(POP, user, _effect(What.MESSAGE, ONE, None, session), side=side) as made:
                popped = await self._chat.pop_message(user, session)
                made.effects = [_effect(What.MESSAGE, popped.id, None, session)] if popped else []

    async def clear(self, user):
        session = await self._session(user)
        with self._call("clear", user, _effect(What.MESSAGE, ALL, None, session)):
            await self._chat.clear_messages(user, session)

    async def replace(self, user):
        session = await self._session(user)
        message = NewMessage("user", self._text("replaced"))
        with self._call("replace", user, _effect(What.MESSAGE, ALL, None, session), _said(session, message)):
            await self._chat.replace_messages(user, session, [message])

    async def rename(self, user):
        session, title = await self._session(user), self._text("renamed")
        with self._call("rename", user, _effect(What.SESSION, session, title)):
            await self._chat.update_session(user, session, title=title)

    async def create(self, user):
        await self._create("create", user, self._text("session"))

    async def create_again(self, user):
        session = f"{user}-{self._random.choice(RETURNING)}"
        await self._create("create_again", user, session)
        message = NewMessage("user", self._text("first"))
        with self._call("append", user, _said(session, message)):
            await self._chat.append(user, session, message)

    async def _create(self, name, user, session):
        title = self._text("title")
        effect = Effect(what=What.SESSION, id=session, value=title, begins=True)
        with self._call(name, user, effect):
            await self._chat.create_session(user, session_id=session, title=title)

    async def delete_session(self, user):
        session = await self._session(user)
        if session != f"{user}-stack":
            effect = _effect(What.SESSION, session, None)
            with self._call("delete_session", user, effect) as made:
                made.effects = [effect] * await self._chat.delete_session(user, session)

    async def _session(self, user):
        if not self._shared[user] or self._random.random() < 0.1:
            page = await self._chat.list_sessions(user, limit=30)
            self._shared[user] = [session.id for session in page.items if not session.id.startswith("own")]
        return self._random.choice([*self._shared[user], *(f"{user}-{name}" for name in (*RETURNING, "stack"))])

    async def _message(self, user):
        session = await self._session(user)
        messages = await self._chat.last_messages(user, session, 6)
        return session, self._random.choice(messages).id if messages else "none"

    # The actor's own session

    async def append_to_own(self, user):
        if self._own is None:
            self._own, self._said = (user, self._text("own")), []
            await self._create("create", *self._own)
        user, session = self._own
        message = NewMessage("user", self._text("own"))
        with self._call("append", user, _said(session, message)):
            await self._chat.append(user, session, message)
        self._said.append(message.id)

    async def delete_from_own(self, _):
        if self._own and self._said:
            await self._delete(*self._own, message := self._random.choice(self._said))
            self._said.remove(message)

    async def read_own(self, _):
        if self._own:
            with self._call("read_own", self._own[0]):
                held = await self._chat.messages(*self._own)
                self._expect([message.id for message in held] == self._said, f"{self._own[1]} is not as it was left")

    # Documents

    async def upsert(self, user):
        await self._upsert(user, f"{user}-doc{self._random.randrange(DOCUMENTS)}")

    async def _upsert(self, user, name):
        text = self._text("text")
        vector = Embedding.of([self._random.uniform(-1, 1) for _ in range(DIMENSION)])
        effect = _effect(What.DOCUMENT, name, digest(text, text, vector))
        with self._call("upsert", user, effect):
            await self._documents.upsert(user, NewDocument(text, id=name, title=text, embedding=vector))
        return text

    async def delete_document(self, user):
        effect = _effect(What.DOCUMENT, f"{user}-doc{self._random.randrange(DOCUMENTS)}", None)
        with self._call("delete_document", user, effect) as made:
            made.effects = [effect] * await self._documents.delete(user, [effect.id])

    async def read_own_document(self, user):
        name = self._text("document")
        text = await self._upsert(user, name)
        with self._call("read_own_document", user):
            self._expect((await self._documents.get(user, name)).text == text, f"{name} is not as it was left")

    # The ledger

    def _call(self, name, user, *effects, side=""):
        # Whoever was served without what another side had marked is somebody new at every call: it has no order.
        writer = f"{self._name}/{self._count}" if self._missed.any else self._name
        return self._ledger.call(name, user, writer, effects, side=side)

    def _expect(self, as_written, complaint):
        if not as_written and not self._missed.any:
            raise StaleReadError(complaint)

    def _text(self, what):
        self._count += 1
        return f"{what} {self._name} {self._count}"


def _effect(what, name, value, session=""):
    return Effect(what=what, id=name, value=value, session_id=session)


def _said(session, message):
    return _effect(What.MESSAGE, message.id, message.content, session)
