"""The ledger: every call that a simulated user made, and what became of it.

It is what the outcome is judged by, so it knows nothing of stages or sides. A call is written down before it is made
and once more when it has ended, in a file that a killed process leaves whole: a call without an end may or may not
have happened.
"""

from __future__ import annotations

import itertools
import json
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from chatstore.errors import ConflictError, InvalidRecordError, NotFoundError


class Outcome(StrEnum):
    """What became of a call. `STALE`: a read did not show what its user had written before."""

    ACKNOWLEDGED = "acknowledged"
    FAILED = "failed"
    UNKNOWN = "unknown"
    STALE = "stale"


class What(StrEnum):
    """Which record an effect is on."""

    SESSION = "session"
    MESSAGE = "message"
    DOCUMENT = "document"


class StaleReadError(Exception):
    """A read did not show what its user had written before."""


ALL = "*"
"""The id of an effect on all messages of a session."""
ONE = "?"
"""The id of an effect on one message of a session, when only the answer tells which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What a write makes of one record. A message's id is never used again after a deletion.

    Attributes:
        what: A session, a message or a document.
        id: Its id; for messages that are deleted also `ALL` or `ONE`.
        value: What it says afterwards: a session's title, a message's content, a document's digest; None: deleted.
        session_id: A message's session.
        begins: Whether a session begins with it, so that it may come after a deletion. A first write always does.
    """

    what: What
    id: str
    value: str | None
    session_id: str = ""
    begins: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of one user.

    Attributes:
        name: Which method.
        user_id: Whose records.
        writer: Who made it; the calls of one writer follow each other.
        began: When, by the machine's monotonic clock.
        ended: When the answer came; infinite when none did.
        outcome: What became of it.
        detail: Why it was not acknowledged.
        effects: What it makes of which records; none for a read.
        side: The side that it was served by, where its caller knows.
    """

    name: str
    user_id: str
    writer: str
    began: float
    ended: float
    outcome: Outcome
    detail: str = ""
    effects: tuple[Effect, ...] = ()
    side: str = ""

    @property
    def wrote(self) -> bool:
        """Whether it is a write that was acknowledged."""
        return self.outcome is Outcome.ACKNOWLEDGED and bool(self.effects)


@dataclass(slots=True)
class Pending:
    """A call under way.

    Attributes:
        effects: What it did, when its answer tells more than could be written down before.
    """

    effects: Sequence[Effect] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What an app process had counted at a moment, since it started.

    Attributes:
        at: When, by the machine's monotonic clock.
        compared: Shadow reads that were made.
        mismatched: Those that found a difference which nothing explains.
    """

    at: float
    compared: int
    mismatched: int


class LedgerWriter:
    """Writes the ledger of one process into a file of its own."""

    def __init__(self, file: Path) -> None:
        # Each line is handed to the operating system at once, so it survives a kill of this process.
        self._file = file.open("w", encoding="utf-8", buffering=1)
        self._numbers = itertools.count()

    @contextmanager
    def call(
        self, name: str, user_id: str, writer: str, effects: Sequence[Effect] = (), *, side: str = ""
    ) -> Iterator[Pending]:
        """Write down the call that the block makes; whatever it raises goes on."""
        number = next(self._numbers)
        self._write(
            call=number,
            name=name,
            user_id=user_id,
            writer=writer,
            began=time.monotonic(),
            effects=[asdict(effect) for effect in effects],
            side=side,
        )
        pending = Pending()
        outcome, detail = Outcome.UNKNOWN, ""
        try:
            yield pending
            outcome = Outcome.ACKNOWLEDGED
        except (NotFoundError, ConflictError, InvalidRecordError) as error:
            outcome, detail = Outcome.FAILED, str(error)
            raise
        except StaleReadError as error:
            outcome, detail = Outcome.STALE, str(error)
            raise
        except Exception as error:
            detail = f"{type(error).__name__}: {error}"
            raise
        finally:
            known = {} if pending.effects is None else {"effects": [asdict(effect) for effect in pending.effects]}
            self._write(end=number, ended=time.monotonic(), outcome=outcome, detail=detail, **known)

    def counts(self, *, compared: int, mismatched: int) -> None:
        """Write down what the process has counted so far."""
        self._write(counts=asdict(Counts(at=time.monotonic(), compared=compared, mismatched=mismatched)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def _write(self, **line: Any) -> None:
        self._file.write(json.dumps(line) + "\n")


def read_ledger(file: Path) -> tuple[list[Call], list[Counts]]:
    """Return the calls and the counts that a process wrote down, in the order in which the calls began."""
    calls: dict[int, dict[str, Any]] = {}
    counts: list[Counts] = []
    for line in _lines(file):
        if "call" in line:
            number = line.pop("call")
            calls[number] = {**line, "ended": math.inf, "outcome": Outcome.UNKNOWN}
        elif "end" in line:
            number = line.pop("end")
            calls[number] |= {**line, "outcome": Outcome(line["outcome"])}
        else:
            counts.append(Counts(**line["counts"]))
    return [_call(fields) for fields in calls.values()], counts


def _lines(file: Path) -> Iterable[dict[str, Any]]:
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            if line.endswith("\n"):  # a kill may have cut the last one
                yield json.loads(line)


def _call(fields: dict[str, Any]) -> Call:
    effects = tuple(Effect(**{**effect, "what": What(effect["what"])}) for effect in fields.pop("effects"))
    return Call(effects=effects, **fields)
