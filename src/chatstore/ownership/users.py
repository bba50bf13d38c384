"""What the old users' ids have become: one for one, and never a guess."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from chatstore.errors import ConfigurationError
from chatstore.models.ownership import Users
from chatstore.ownership.table import Table, check_user

_OTHERS = "*"
_FORM = """\
  csv:/path/users.csv    a table with the columns old,new; a line *,* in it says that all others kept their ids"""


class MappedUsers(Users):
    """Knows what some users' ids have become, and that the others kept theirs, or nothing of these.

    Where the others kept theirs, an old id that is the new one of somebody else has become nothing, and a new id that
    was somebody else's old one was nothing: they would be two users' at once.

    Args:
        new_ids: The new ids by the old ones.
        others_kept: Whether whoever is not in there kept his id.

    Raises:
        ConfigurationError: Two old ids have become the same, or something cannot be an id.
    """

    def __init__(self, new_ids: Mapping[str, str], *, others_kept: bool = False) -> None:
        self._new_ids = dict(new_ids)
        self._old_ids: dict[str, str] = {}
        self._others_kept = others_kept
        for old, new in new_ids.items():
            check_user(old, f"{old!r} has become {new!r}")
            check_user(new, f"{old!r} has become {new!r}")
            if new in self._old_ids:
                raise ConfigurationError(
                    f"{self._old_ids[new]!r} and {old!r} have both become {new!r}: one would see what is the "
                    "other's; give each an id of his own"
                )
            self._old_ids[new] = old

    def new_of(self, old: str) -> str | None:
        if old in self._new_ids:
            return self._new_ids[old]
        return old if self._others_kept and old not in self._old_ids else None

    def old_of(self, new: str) -> str | None:
        if new in self._old_ids:
            return self._old_ids[new]
        return new if self._others_kept and new not in self._new_ids else None


def load_users(setting: str, *, name: str = "CHATSTORE_USERS") -> Users:
    """Return the mapping that a setting's text describes. The table is read whole, once, here.

    Args:
        setting: The text: `csv:` and a path.
        name: What the setting is called, for errors.

    Raises:
        ConfigurationError: It is not that; the file cannot be read; an id stands in a column twice.
    """
    form, _, path = setting.partition(":")
    if form != "csv" or not path:
        raise ConfigurationError(f"{name} is {setting!r}, which is not\n{_FORM}")
    table = Table(Path(path).expanduser(), ("old", "new"), name)
    new_ids: dict[str, str] = {}
    taken: set[str] = set()
    others_kept = False
    for line, old, new in table.rows():
        if _OTHERS in (old, new):
            if old != new:
                raise table.error("write *,* where all others kept their ids; * is no id", line)
            others_kept = True
            continue
        if old in new_ids:
            raise table.duplicate(0, old, line)
        if new in taken:
            raise table.duplicate(1, new, line)
        new_ids[old] = new
        taken.add(new)
    if not new_ids and not others_kept:
        raise table.error("it has no line but the first")
    try:
        return MappedUsers(new_ids, others_kept=others_kept)
    except ConfigurationError as error:
        raise table.error(str(error)) from error


def as_users(given: Users | Mapping[str, str]) -> Users:
    """Return the mapping that was given by an app: as it is, or made of a dictionary from old ids to new ones.

    Raises:
        ConfigurationError: Two old ids have become the same, or something cannot be an id.
    """
    return given if isinstance(given, Users) else MappedUsers(given)
