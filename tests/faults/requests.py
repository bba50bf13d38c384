"""One fault at the n-th request that an operation makes of real servers."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from unittest.mock import patch

from chatstore.chroma import ChromaClient
from chatstore.errors import ChatStoreError, UnavailableError
from chatstore.redis.client import Server
from chatstore.supabase import SupabaseClient

_TRIAL = ContextVar("trial", default=None)


class Break(StrEnum):
    """What happens at the request.

    Attributes:
        NEVER_SENT: It fails, and did not reach its server.
        REPLY_LOST: It fails, and the server did the work.
        CANCELLED: The caller of the whole operation is cancelled.
        DIES: The process is no more, and the request was not sent.
        DIES_SENT: The process is no more, and the server did the work.
    """

    NEVER_SENT = "never-sent"
    REPLY_LOST = "reply-lost"
    CANCELLED = "cancelled"
    DIES = "dies"
    DIES_SENT = "dies-sent"


async def _nothing():
    pass


@dataclass(frozen=True)
class Operation:
    """What is tried.

    Attributes:
        call: The operation.
        rest: Waits for what it leaves to do when its caller is gone.
    """

    call: Coroutine
    rest: Callable = _nothing


class Trial:
    """One run of an operation by a process of its own.

    Attributes:
        at, how: At which request what happens; nothing when None.
        count: How many requests it made.
        hit: Whether it came to the fault.
        acked: Whether its caller was told that it is done.
    """

    def __init__(self, at=None, how=None):
        self.at = at
        self.how = how
        self.count = 0
        self.hit = False
        self.acked = False
        self._dead = asyncio.Event()
        self._over = False
        self._caller = None

    async def run(self, operation):
        """Run an operation to its end and to the end of what it left to do, or to the process's death."""
        others = asyncio.all_tasks()
        token = _TRIAL.set(self)
        self._caller = asyncio.create_task(operation.call)
        _TRIAL.reset(token)
        death = asyncio.create_task(self._dead.wait())
        await asyncio.wait({self._caller, death}, return_when=asyncio.FIRST_COMPLETED)
        if not death.done():
            await asyncio.wait({asyncio.ensure_future(operation.rest()), death}, return_when=asyncio.FIRST_COMPLETED)
        if self._caller.done() and not self._caller.cancelled():
            error = self._caller.exception()
            if error is not None and not isinstance(error, ChatStoreError):
                raise error
            self.acked = error is None
        await self._end(asyncio.all_tasks() - others)

    async def _end(self, tasks):
        self._over = True
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def request(self, send):
        if self._over:
            raise asyncio.CancelledError
        if self._dead.is_set():
            await asyncio.Event().wait()
        self.count += 1
        if self.count - 1 != self.at:
            return await send()
        self.hit = True
        return await self._broken(send)

    async def _broken(self, send):
        if self.how is Break.CANCELLED:
            self._caller.cancel()
            await asyncio.sleep(0)  # Here the caller's own requests end; those of a protected write go on.
            return await send()
        if self.how in {Break.REPLY_LOST, Break.DIES_SENT}:
            await send()
        if self.how in {Break.DIES, Break.DIES_SENT}:
            self._dead.set()
            await asyncio.Event().wait()
        raise UnavailableError("no answer (by the test's order)")


@contextmanager
def breakable():
    """Let all requests of this process's clients pass by the trial in whose context they are made."""
    with ExitStack() as patches:
        for client, name in ((Server, "ask"), (Server, "ask_all"), (SupabaseClient, "_send"), (ChromaClient, "run")):
            patches.enter_context(patch.object(client, name, _guarded(getattr(client, name))))
        yield


def _guarded(method):
    async def request(self, *args, **kwargs):
        trial = _TRIAL.get()
        if trial is None:
            return await method(self, *args, **kwargs)
        return await trial.request(lambda: method(self, *args, **kwargs))

    return request


MANY = 150
"""More than any operation has trials."""


async def every_request(operation, given=None, kinds=tuple(Break)):
    """Run an `Operation` once for each of its requests and each kind of fault; return the trials by number.

    Args:
        operation: Makes the operation of trial number so-and-so.
        given: Is awaited with the number before each, if there is one.
        kinds: Of faults. To die before a request is to die after the one before it, where they follow one another.
    """
    trials = []

    async def run(trial):
        number = len(trials)
        if given is not None:
            await given(number)
        await trial.run(operation(number))
        trials.append(trial)

    # Twice without a fault: the first time also loads scripts and finds collections.
    await run(Trial())
    await run(Trial())
    assert trials[0].acked
    assert trials[1].acked
    for at in range(trials[1].count):
        for how in kinds:
            await run(Trial(at, how))
            assert trials[-1].hit, f"{how} at request {at}: it went another way than it did without a fault"
    return trials
