"""What a token says, and what of it makes a user's token. Nothing here checks a signature."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from chatstore.errors import InvalidRecordError, TokenRefusedError
from chatstore.models.values import check_id

ROLE: Final = "authenticated"
"""The only role that a user's token may have: the one that row-level security is written for."""

_LONGEST: Final = 16_384  # More than any server takes as a header.
_SECRET_PREFIX: Final = "sb_secret_"  # noqa: S105 - how one begins
_PUBLISHABLE_PREFIX: Final = "sb_publishable_"


def check_form(token: object) -> str:
    """Return a text that may be a user's token, as far as its form tells.

    Raises:
        TokenRefusedError: It is no JWT; where it is a key of Supabase's instead, the message says so.
    """
    if not isinstance(token, str) or not token:
        raise TokenRefusedError("there is no user's token: send `Authorization: Bearer …` with the request")
    if token.startswith(_SECRET_PREFIX):
        raise TokenRefusedError(
            "Supabase's secret key was given where a user's token belongs: it passes row-level security, so it must "
            "never stand for a user; give the token that came with the user's request"
        )
    if token.startswith(_PUBLISHABLE_PREFIX):
        raise TokenRefusedError(
            "Supabase's publishable key was given where a user's token belongs: it says nothing of a user; give the "
            "token that came with the user's request"
        )
    if len(token) > _LONGEST or not token.isascii() or token.count(".") != 2:  # noqa: PLR2004 - RFC 7515, 3.1
        raise TokenRefusedError("this is no JWT, so it cannot be a user's token")
    return token


def read_claims(token: str) -> Mapping[str, Any]:
    """Return what a token says of itself, whoever signed it.

    Raises:
        TokenRefusedError: It is no JWT.
    """
    payload = check_form(token).split(".")[1]
    try:
        claims = json.loads(base64.b64decode(payload + "=" * (-len(payload) % 4), altchars="-_", validate=True))
    except (ValueError, RecursionError, binascii.Error):
        claims = None
    if not isinstance(claims, dict):
        raise TokenRefusedError("this is no JWT, so it cannot be a user's token")
    return claims


def user_of(claims: Mapping[str, Any]) -> str:
    """Return the id of the user whom claims are of.

    Raises:
        TokenRefusedError: They are of no user: no `sub` that can be an id, or another role than `authenticated`.
    """
    role = claims.get("role")
    if role is None:
        raise TokenRefusedError(
            "the token has no role: let the issuer put `role: authenticated` into its tokens (in Clerk by the "
            "integration with Supabase), as Supabase needs it"
        )
    if role != ROLE:
        known = role if role in ("service_role", "anon") else "another one"
        raise TokenRefusedError(f"the token's role is {known}: a user's token has the role {ROLE}")
    user_id = claims.get("sub")
    if not isinstance(user_id, str) or not user_id:
        raise TokenRefusedError("the token says no user: its `sub` is missing, empty, or no text")
    try:
        check_id(user_id, "token's `sub`")
    except InvalidRecordError as error:
        raise TokenRefusedError(f"the token says no user that a record could have: {error}") from None
    return user_id


def expiry_of(claims: Mapping[str, Any], leeway: timedelta) -> datetime:
    """Return until when claims are taken (UTC): their `exp`, and some leeway for clocks that differ.

    Raises:
        TokenRefusedError: They have no `exp` that is a time.
    """
    expiry = claims.get("exp")
    try:
        if isinstance(expiry, int | float) and not isinstance(expiry, bool):
            return datetime.fromtimestamp(expiry, UTC) + leeway
    except (ValueError, OverflowError, OSError):
        pass
    raise TokenRefusedError("the token does not say until when it is good: its `exp` is missing, or no time") from None
