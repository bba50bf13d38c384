"""The forms of a mapping from records to users: a template, a table, a field, one user for all, a function."""

from __future__ import annotations

import importlib
import inspect
import logging
import operator
import sys
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeAlias, cast

from chatstore.errors import ConfigurationError, InvalidRecordError
from chatstore.models.ownership import Owners
from chatstore.models.values import check_id
from chatstore.ownership.table import Table, check_user
from chatstore.ownership.template import TemplateOwners

logger = logging.getLogger(__name__)

OwnerOf: TypeAlias = Callable[[str], str | None]
"""A function from a record's Redis key to its user's id; None where it does not know."""

FORMS = """\
  key:message_store:{user}:*    the key says it: {user} is the user's id, * is anything
  csv:/path/owners.csv          a table says it, with the columns key,user
  field:user_id                 a field of the record (or of its JSON metadata) says it
  all:alice                     everything is this user's
  call:package.module:function  a function says it: it takes the key and returns the user's id, or None"""
"""The forms of the setting, for errors and help."""


def load_owners(setting: str, *, name: str = "CHATSTORE_OWNERS") -> Owners:
    """Return the mapping that a setting's text describes. A table is read whole, once, here.

    Args:
        setting: The text: one of the forms that the error lists.
        name: What the setting is called, for errors.

    Raises:
        ConfigurationError: It is none of the forms; a template, a file or a function is not what it has to be.
    """
    form, _, rest = setting.partition(":")
    make = _MAKERS.get(form)
    if make is None or not rest:
        raise ConfigurationError(f"{name} is {setting!r}, which is none of\n{FORMS}")
    return make(rest, name)


def as_owners(given: Owners | OwnerOf | Mapping[str, str]) -> Owners:
    """Return the mapping that was given by an app: as it is, or made of a function, or of a dictionary by key.

    Raises:
        ConfigurationError: It is none of these, a coroutine function say.
    """
    if isinstance(given, Owners):
        return given
    if isinstance(given, Mapping):
        return MappedOwners(given)
    return FunctionOwners(given)


class MappedOwners(Owners):
    """Knows some keys' users, and no other's.

    Args:
        users: The users' ids by key.

    Raises:
        ConfigurationError: One of the ids cannot be one: it is empty, or too long.
    """

    def __init__(self, users: Mapping[str, str]) -> None:
        for key, user in users.items():
            check_user(user, f"the owner of {key!r}")
        self._users = dict(users)

    def owner_of(self, key: str) -> str | None:
        return self._users.get(key)


class FieldOwners(Owners):
    """Leaves it to a field of the record.

    Args:
        field: The field's name.
    """

    def __init__(self, field: str) -> None:
        self.field = field

    def owner_of(self, key: str) -> str | None:  # noqa: ARG002 - the key does not say
        return None


class SoleOwner(Owners):
    """Gives everything to one user.

    Args:
        user: His id.

    Raises:
        ConfigurationError: It cannot be an id.
    """

    def __init__(self, user: str) -> None:
        self._user = check_user(user, "the owner of everything")

    def owner_of(self, key: str) -> str | None:  # noqa: ARG002 - whatever it is
        return self._user


class FunctionOwners(Owners):
    """Asks a function of the app's.

    It is asked again whenever the record is read or written, from the event loop: let it be quick. Where it raises, or
    returns what is no id, the record is nobody's, and the log says why: once with the traceback for each type of error.

    Args:
        function: The function, from a key to a user's id or None.
        name: What it is called, for the log; its own name when left out.

    Raises:
        ConfigurationError: It cannot be called, or is a coroutine function.
    """

    def __init__(self, function: OwnerOf, name: str = "") -> None:
        self._name = name or getattr(function, "__qualname__", repr(function))
        if not callable(function):
            raise ConfigurationError(f"{self._name} cannot be called: owners are told by a function from keys to ids")
        if inspect.iscoroutinefunction(function):
            raise ConfigurationError(f"{self._name} is a coroutine function; owners are told by a plain function")
        self._function = function
        self._told: set[str] = set()

    def owner_of(self, key: str) -> str | None:
        try:
            user = cast("object", self._function(key))
        except Exception as error:  # noqa: BLE001 - the app's code may raise anything, and one record stops nothing
            self._tell(key, f"it raised {type(error).__name__}", error)
            return None
        if user is None:
            return None
        try:
            if isinstance(user, str):
                return check_id(user, "user's id")
        except InvalidRecordError as error:
            self._tell(key, "it returned what cannot be an id", error)
            return None
        if isinstance(user, Coroutine):
            user.close()
        self._tell(key, f"it returned a {type(user).__name__}, no text")
        return None

    def _tell(self, key: str, reason: str, error: Exception | None = None) -> None:
        level = logging.DEBUG if reason in self._told else logging.WARNING
        self._told.add(reason)
        logger.log(level, "%s does not say whose %.200r is: %s", self._name, key, reason, exc_info=error)


def _table_owners(path: str, name: str) -> Owners:
    table = Table(Path(path).expanduser(), ("key", "user"), name)
    users: dict[str, str] = {}
    for line, key, user in table.rows():
        if key in users:
            raise table.duplicate(0, key, line)
        # A million keys have fewer users: each id is kept once.
        users[key] = sys.intern(user)
    if not users:
        raise table.error("it has no line but the first")
    try:
        return MappedOwners(users)
    except ConfigurationError as error:
        raise table.error(str(error)) from error


def _function_owners(path: str, name: str) -> Owners:
    module_name, _, attribute = path.partition(":")
    if not module_name or not attribute:
        raise ConfigurationError(f"{name} is {'call:' + path!r}; write call:package.module:function")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise ConfigurationError(
            f"{name}: the module {module_name!r} cannot be imported ({type(error).__name__}: {error}): "
            "is its folder in PYTHONPATH?"
        ) from error
    try:
        function: Any = operator.attrgetter(attribute)(module)
    except AttributeError as error:
        raise ConfigurationError(f"{name}: the module {module_name!r} has no {attribute!r}") from error
    if isinstance(function, Owners):
        return function
    try:
        return FunctionOwners(function, path)
    except ConfigurationError as error:
        raise ConfigurationError(f"{name}: {error}") from error


def _template_owners(template: str, name: str) -> Owners:
    try:
        return TemplateOwners(template)
    except ConfigurationError as error:
        raise ConfigurationError(f"{name}: {error}") from error


def _sole_owner(user: str, name: str) -> Owners:
    return SoleOwner(check_user(user, name))


_MAKERS: Mapping[str, Callable[[str, str], Owners]] = {
    "key": _template_owners,
    "csv": _table_owners,
    "field": lambda field, _: FieldOwners(field),
    "all": _sole_owner,
    "call": _function_owners,
}
