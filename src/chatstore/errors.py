"""Every error that chatstore raises, by what a caller can do about it.

A client library's own error never leaves a backend: it is translated at the backend's edge and kept as `__cause__`.
"""

from __future__ import annotations


class ChatStoreError(Exception):
    """The root of all errors of this library."""


class ConfigurationError(ChatStoreError):
    """A setting or an argument is missing or malformed: change it and start again."""


class NotFoundError(ChatStoreError):
    """The session, message or document is not there, or is not this user's."""


class ConflictError(ChatStoreError):
    """The id is taken by something else: by another user, or by a message with other content."""


class InvalidRecordError(ChatStoreError):
    """A value that no side could hold as it is (a lone surrogate, a NaN, an empty id): change it and call again."""


class TokenRefusedError(ChatStoreError):
    """A user's token was not accepted: answer the request with 401. The message says why, and never holds the token."""


class UnavailableError(ChatStoreError):
    """A server could not be reached or did not answer in time. A write that ends so may or may not have happened."""


class BusyError(UnavailableError):
    """Others are at work on the record just now: try again a little later."""


class SchemaError(ChatStoreError):
    """The Supabase project lacks chatstore's schema, or has another version of it: run `chatstore schema --apply`."""


class LayoutError(ChatStoreError):
    """A record in Redis does not have the shape that its layout promises.

    Attributes:
        key: The Redis key that holds it.
        raw: What was found there, as it was.
        reason: What is wrong with it.
    """

    def __init__(self, key: bytes, raw: bytes, reason: str) -> None:
        super().__init__(f"cannot read {key!r}: {reason}")
        self.key = key
        self.raw = raw
        self.reason = reason

    def __reduce__(self) -> tuple[type[LayoutError], tuple[bytes, bytes, str]]:
        # An exception is pickled by what `Exception` was given, which is the message here.
        return type(self), (self.key, self.raw, self.reason)


class StaleSideError(ChatStoreError):
    """The call would use a side that is not known to be whole."""


class UnsupportedError(ChatStoreError):
    """This backend cannot do what was asked, and will not pretend to."""


class LeaseLostError(ChatStoreError):
    """Another runner holds the lease on this migration, so this one must stop."""
