"""The keys of a local stack, and tokens for its users."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """What guards one local stack: made once for a data folder, and kept in it. Its `repr` shows none of them.

    Attributes:
        postgres_password: The password of Postgres' superuser.
        api_password: The password with which Supabase's server logs in to Postgres.
        publishable: Supabase's publishable key.
        secret: Supabase's secret key.
        jwt_secret: What users' tokens are signed with.
    """

    postgres_password: str = field(repr=False)
    api_password: str = field(repr=False)
    publishable: str = field(repr=False)
    secret: str = field(repr=False)
    jwt_secret: str = field(repr=False)

    @classmethod
    def new(cls) -> Keys:
        """Return keys that no other stack has. All can stand in a URL as they are."""
        return cls(
            postgres_password=secrets.token_hex(16),
            api_password=secrets.token_hex(16),
            publishable=f"sb_publishable_{secrets.token_hex(16)}",
            secret=f"sb_secret_{secrets.token_hex(16)}",
            jwt_secret=secrets.token_urlsafe(48),
        )

    def all(self) -> tuple[str, ...]:
        """Return every one of them: what must not be seen in a log or an error."""
        return (self.postgres_password, self.api_password, self.secret, self.jwt_secret, self.publishable)


def user_token(jwt_secret: str, user_id: str, *, role: str = "authenticated", expires_in: float = 3600) -> str:
    """Return a token with which a user of the local stack passes row-level security as themselves.

    Args:
        jwt_secret: `StackSettings.supabase_jwt_secret`.
        user_id: The token's `sub`: any text.
        role: The Postgres role that requests with it run as.
        expires_in: How many seconds it is good for; negative for one that has expired.

    Returns:
        A JWT, signed with HS256 (RFC 7515 and 7519).
    """
    now = int(time.time())
    claims = {"sub": user_id, "role": role, "aud": role, "iat": now, "exp": int(now + expires_in)}
    signed = f"{_encode({'alg': 'HS256', 'typ': 'JWT'})}.{_encode(claims)}"
    digest = hmac.new(jwt_secret.encode(), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{_base64url(digest)}"


def _encode(part: dict[str, object]) -> str:
    return _base64url(json.dumps(part, separators=(",", ":")).encode())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
