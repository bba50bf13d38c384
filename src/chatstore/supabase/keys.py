"""Telling Supabase's keys from one another, so that none stands where another belongs."""

from __future__ import annotations

from typing import Final

from chatstore.errors import ConfigurationError, TokenRefusedError
from chatstore.identity.claims import read_claims

SERVICE_ROLE: Final = "service_role"
_NEEDED: Final = (
    "set SUPABASE_SECRET_KEY to the project's secret key (`sb_secret_…`, or the older one of the role `service_role`)"
)


def check_secret_key(key: str) -> str:
    """Return a key that may be a project's secret one; which project's, Supabase says.

    Raises:
        ConfigurationError: It is empty, the publishable (or anon) key, or a user's token. The message does not hold it.
    """
    if not key:
        raise ConfigurationError(f"the Supabase key is empty: {_NEEDED}")
    if key.startswith("sb_publishable_"):
        raise ConfigurationError(f"the publishable key was given where the secret key belongs: {_NEEDED}")
    if key.startswith("sb_") or key.count(".") != 2:  # noqa: PLR2004 - a JWT has three parts
        return key
    try:
        claims = read_claims(key)
    except TokenRefusedError:
        return key  # a text with dots; Supabase knows
    role = claims.get("role")
    if role == "anon":
        raise ConfigurationError(f"the anon key was given where the secret key belongs: {_NEEDED}")
    if role != SERVICE_ROLE or "sub" in claims:
        raise ConfigurationError(f"a user's token was given where the secret key belongs: {_NEEDED}")
    return key
