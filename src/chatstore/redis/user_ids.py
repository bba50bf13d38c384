"""User ids at the edge of Redis: there the old ones, everywhere else those that the app uses now."""

from __future__ import annotations

from chatstore.errors import ConfigurationError, ConflictError
from chatstore.models.ownership import Users
from chatstore.redis.layouts.fields import BadFieldError


def old_user(users: Users, user_id: str) -> str:
    """Return a user's id in Redis.

    Raises:
        ConfigurationError: The mapping does not say.
    """
    old = users.old_of(user_id)
    if old is None:
        raise ConfigurationError(
            f"CHATSTORE_USERS says no old id of the user {user_id!r}: add one, or the line `*,*`, which says that all "
            f"users that it does not name kept their ids"
        )
    return old


def old_owner(users: Users, user_id: str) -> str:
    """Return the id in Redis of the user whose record is to be joined.

    Raises:
        ConflictError: The mapping does not say: this record cannot be taken, and others can.
    """
    try:
        return old_user(users, user_id)
    except ConfigurationError as error:
        raise ConflictError(str(error)) from error


def new_user(users: Users, raw: bytes) -> str:
    """Return the id that the app uses now of a user's id in Redis.

    Raises:
        BadFieldError: The mapping does not say, or the id is not UTF-8.
    """
    try:
        old = raw.decode()
    except UnicodeDecodeError as error:
        raise BadFieldError(f"the user's id is not UTF-8 at byte {error.start}") from error
    new = users.new_of(old)
    if new is None:
        raise BadFieldError(f"CHATSTORE_USERS does not say what the user {old!r} has become")
    return new
