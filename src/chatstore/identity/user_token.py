"""A token of which is known whose it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from chatstore.errors import TokenRefusedError
from chatstore.identity.claims import expiry_of, read_claims, user_of
from chatstore.models import utc_now

LEEWAY = timedelta(seconds=10)
"""By how much two machines' clocks may differ."""


@dataclass(frozen=True, slots=True, init=False)
class UserToken:
    """A user's token whose signature has been verified. Its `repr` does not show the token.

    A `TokenVerifier` makes one; an app that verifies tokens by itself says so: `UserToken.verified_elsewhere(token)`.

    Attributes:
        user_id: Whose it is: its `sub`.
        expires_at: Until when it is taken (UTC): its `exp`, and some seconds for clocks that differ.
        text: The token itself, as it is sent to Supabase.
    """

    user_id: str
    expires_at: datetime
    text: str = field(repr=False)

    def __init__(self, *_: object, **__: object) -> None:
        raise TypeError("a UserToken is made by a TokenVerifier, or by UserToken.verified_elsewhere(token)")

    @classmethod
    def verified_elsewhere(cls, token: str, *, leeway: timedelta = LEEWAY) -> UserToken:
        """Take a token whose signature, issuer and audience the app has verified itself: that is not done here.

        What can be seen without the issuer's keys is looked at all the same: that it is a JWT of the role
        `authenticated`, names a user and has not expired. Whose it is, it says itself, and not the caller.

        Args:
            token: The token as it came with the user's request.
            leeway: For how long after its `exp` it is still taken.

        Raises:
            TokenRefusedError: It is no user's token, or has expired.
        """
        claims = read_claims(token)
        made = user_token(user_of(claims), expiry_of(claims, leeway), token)
        made.check()
        return made

    def check(self) -> None:
        """Check that the token has not expired meanwhile.

        Raises:
            TokenRefusedError: It has.
        """
        if utc_now() >= self.expires_at:
            raise TokenRefusedError("the token has expired: give the one that came with the user's latest request")


def user_token(user_id: str, expires_at: datetime, text: str) -> UserToken:
    """Return the token of a user, of whose claims it has been made sure."""
    made = object.__new__(UserToken)
    for name, value in (("user_id", user_id), ("expires_at", expires_at), ("text", text)):
        object.__setattr__(made, name, value)
    return made
