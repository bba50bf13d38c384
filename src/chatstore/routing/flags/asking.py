"""Asking OpenFeature for a stage: at every call, in bounded time, with an answer whatever happens."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any, Generic, TypeVar

from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import FlagEvaluationDetails, FlagEvaluationOptions, Reason

UNSET = ""
"""The default that OpenFeature is given: it is no stage, so it is never taken for an answer."""

logger = logging.getLogger("chatstore.routing")

_OPTIONS = FlagEvaluationOptions()
_HASTE = 0.05

T = TypeVar("T")


class Asking:
    """Evaluates one flag, with the app's hooks around it, as `get_string_details_async` does.

    An evaluation that does not answer within `deadline` is given up, and for `rest` seconds nobody waits for more than
    50 ms; an answer in that time ends it. A provider that blocks the event loop instead of awaiting cannot be given up:
    when it took longer than `deadline`, it is not asked at all for `rest` seconds.

    Args:
        flag: The flag's name.
        deadline: See above; seconds.
        rest: See above; seconds.
    """

    def __init__(self, flag: str, *, deadline: float = 1.0, rest: float = 5.0) -> None:
        self._flag = flag
        self._deadline = deadline
        self._rest = rest
        self._hasty_until = 0.0
        self._silent_until = 0.0

    async def __call__(
        self, client: OpenFeatureClient, user_id: str, key: str, operation: str
    ) -> FlagEvaluationDetails[str]:
        """Return what OpenFeature answers a client for a call; a failure is an answer with an error code, as there."""
        began = time.monotonic()
        if began < self._silent_until:
            return self._failed(f"it blocked for more than {self._deadline:g} s, and is not asked for a while")
        context = EvaluationContext(user_id, {"key": key, "operation": operation})
        evaluation = client.get_string_details_async(self._flag, UNSET, context, _OPTIONS)
        try:
            awaited = evaluation.send(None)
        except StopIteration as end:
            answer: FlagEvaluationDetails[str] = end.value
            self._hasty_until = 0.0
        except Exception as error:  # noqa: BLE001 - what OpenFeature does not catch is no reason to fail a call
            answer = self._failed(_reason(error))
        else:
            return await self._rest_of(evaluation, awaited)
        if (took := time.monotonic() - began) > self._deadline:
            self._silent_until = time.monotonic() + self._rest
            logger.warning("flag %s: its provider held the event loop up for %.1f s", self._flag, took)
        return answer

    async def _rest_of(self, evaluation: Coroutine[Any, Any, T], awaited: object) -> T | FlagEvaluationDetails[str]:
        """Await the rest of an evaluation that waits for something."""
        task = asyncio.current_task()
        cancelled_before = 0 if task is None else task.cancelling()
        hasty = time.monotonic() < self._hasty_until
        seconds = min(_HASTE, self._deadline) if hasty else self._deadline
        timeout = asyncio.timeout(seconds)
        try:
            async with timeout:
                answer = await _Rest(evaluation, awaited)
        except Exception as error:
            # The SDK's own `finally` fails when an evaluation is cancelled, and its error hides the cancellation.
            if task is not None and task.cancelling() > cancelled_before:
                raise asyncio.CancelledError from error
            if not timeout.expired():
                return self._failed(_reason(error))
            if not hasty:
                self._hasty_until = time.monotonic() + self._rest
            return self._failed(f"no answer within {seconds:g} s")
        self._hasty_until = 0.0
        return answer

    def _failed(self, message: str) -> FlagEvaluationDetails[str]:
        return FlagEvaluationDetails(
            self._flag, UNSET, reason=Reason.ERROR, error_code=ErrorCode.GENERAL, error_message=message
        )


def _reason(error: Exception) -> str:
    # Where the SDK fails in its own `finally`, what went wrong is what that hides.
    return repr(error.__context__ or error)


class _Rest(Generic[T]):
    """What is left of a coroutine that was run, in this task, up to where it first waits."""

    def __init__(self, work: Coroutine[Any, Any, T], awaited: object) -> None:
        self._work = work
        self._awaited = awaited

    def __await__(self) -> Generator[object, Any, T]:
        work, awaited = self._work, self._awaited
        while True:
            try:
                sent = yield awaited
            except GeneratorExit:
                work.close()
                raise
            except BaseException as error:  # noqa: BLE001 - it is passed on
                step: Callable[[], object] = partial(work.throw, error)
            else:
                step = partial(work.send, sent)
            try:
                awaited = step()
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
