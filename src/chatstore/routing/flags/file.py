"""The flag file of a team without a flag service: flagd's format, as much of it as two stages need.

The OpenFeature provider of flagd reads such a file (https://flagd.dev/reference/flag-definitions/). This module is
about its text only; what else a file holds is kept as it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from chatstore.errors import ConfigurationError
from chatstore.models import Kind, Stage
from chatstore.routing.flags.resolver import FLAGS

_Json: TypeAlias = dict[str, Any]

_USER = {"var": "targetingKey"}
_ALL = 100


@dataclass(frozen=True, slots=True)
class Share:
    """A part of the users.

    Attributes:
        stage: The stage that they are served at.
        percent: How many of a hundred users these are, from 1 to 100. Who they are depends on nothing but their ids and
            the kind, so a greater share holds everybody that a smaller one held.
    """

    stage: Stage
    percent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StageFlag:
    """Who is served at which stage.

    Attributes:
        default: The stage of everybody else.
        share: The part of the users that has another stage; None when there is no such part.
        users: The users that have a stage of their own, by id; before the share.
    """

    default: Stage
    share: Share | None = None
    users: Mapping[str, Stage] = field(default_factory=dict)

    @property
    def stages(self) -> frozenset[Stage]:
        """Every stage that somebody is served at."""
        shared = [] if self.share is None else [self.share.stage]
        return frozenset([self.default, *shared, *self.users.values()])

    def for_share(self, stage: Stage, percent: int) -> StageFlag:
        """Return the flag with a part of the users at `stage`, and the rest as it was; 0 percent ends the part.

        Raises:
            ConfigurationError: Another part is at another stage, and would be thrown back by this.
        """
        if self.share is not None and self.share.stage is not stage:
            raise ConfigurationError(
                f"{self.share.percent} % of the users are at {self.share.stage}: "
                f"first set {self.share.stage} for everybody, or for 0 percent"
            )
        return replace(self, share=Share(stage, percent) if percent else None)

    def for_users(self, stage: Stage, users: Iterable[str]) -> StageFlag:
        """Return the flag with these users at `stage`, and all others as they were."""
        return replace(self, users={**self.users, **dict.fromkeys(users, stage)})


def parse_flags(text: str) -> dict[Kind, StageFlag]:
    """Return the stage flags that a flag file holds; a kind whose flag is not in it is left out.

    Raises:
        ConfigurationError: It is no flag file, or one of the stage flags is not of the form that `with_flag` gives it.
    """
    flags = _flags(_document(text))
    return {kind: _stage_flag(name, flags[name]) for kind, name in FLAGS.items() if name in flags}


def with_flag(text: str, kind: Kind, flag: StageFlag) -> str:
    """Return the flag file with the stage flag of a kind set, and with all else that it held.

    Args:
        text: The file as it is; empty for a new one.
        kind: Whose stage.
        flag: Who is to be served at which stage.

    Raises:
        ConfigurationError: As `parse_flags`.
    """
    document = _document(text)
    flags = _flags(document)
    if FLAGS[kind] in flags:
        _stage_flag(FLAGS[kind], flags[FLAGS[kind]])
    # In ASCII, because the provider reads the file in whatever encoding its process has.
    return json.dumps({**document, "flags": {**flags, FLAGS[kind]: _definition(flag)}}, indent=2) + "\n"


def _document(text: str) -> _Json:
    try:
        document = json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise ConfigurationError(f"the flag file is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise ConfigurationError("the flag file is not a JSON object with an object `flags`")
    return document


def _flags(document: _Json) -> _Json:
    flags = document.get("flags", {})
    if not isinstance(flags, dict):
        raise ConfigurationError("the flag file's `flags` is not a JSON object")
    return flags


def _definition(flag: StageFlag) -> _Json:
    definition: _Json = {
        "state": "ENABLED",
        "variants": {stage.value: stage.value for stage in Stage},
        "defaultVariant": flag.default.value,
    }
    branches: list[Any] = []
    for stage in Stage:
        users = sorted(user for user, own in flag.users.items() if own is stage)
        if users:
            branches += [{"in": [_USER, users]}, stage.value]
    if flag.share is not None:
        rest = _ALL - flag.share.percent
        branches.append({"fractional": [[flag.share.stage.value, flag.share.percent], [flag.default.value, rest]]})
    if branches:
        definition["targeting"] = {"if": branches}
    return definition


def _stage_flag(name: str, definition: object) -> StageFlag:
    """Return what `_definition` was given: only what it would write in the same way again is understood."""
    try:
        flag = _understood(definition)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        flag = None
    if flag is None or _definition(flag) != definition:
        raise ConfigurationError(
            f"the flag {name} in the flag file was not written by `chatstore stage`: "
            "go on by hand, or take it out of the file first"
        )
    return flag


def _understood(definition: Any) -> StageFlag:
    branches = list(definition.get("targeting", {"if": []})["if"])
    share = None
    if len(branches) % 2:
        (stage, percent), _rest = branches.pop()["fractional"]
        share = Share(Stage(stage), int(percent))
    users = {
        user: Stage(stage)
        for condition, stage in zip(branches[::2], branches[1::2], strict=True)
        for user in condition["in"][1]
    }
    return StageFlag(default=Stage(definition["defaultVariant"]), share=share, users=users)
