"""Whose a record is where its layout does not say so, and what the old users' ids have become."""

from __future__ import annotations

from abc import ABC, abstractmethod


class Owners(ABC):
    """A mapping from records to the users that they belong to, in the old side's user ids.

    Attributes:
        field: The field of a record that says it (of a JSON layout: of its metadata); empty where the key says it.
    """

    field: str = ""

    @abstractmethod
    def owner_of(self, key: str) -> str | None:
        """Return whose the record at a Redis key is; None where the mapping does not say."""


class Users(ABC):
    """A one-to-one mapping from the old side's user ids to the ids that the app uses now."""

    @abstractmethod
    def new_of(self, old: str) -> str | None:
        """Return what an old id has become; None where the mapping does not say."""

    @abstractmethod
    def old_of(self, new: str) -> str | None:
        """Return which old id has become this one; None where the mapping does not say."""


class SameUsers(Users):
    """The users that kept their ids: all of them."""

    def new_of(self, old: str) -> str:
        return old

    def old_of(self, new: str) -> str:
        return new
