"""An issuer of tokens for development: it stands where Clerk does, and believes anybody who says who they are.

Its tokens have the shape of Clerk's: signed with RS256, the key's id in `kid`, the user in `sub`, the frontend in
`azp`. It is there only while CHATSTORE_TOKEN_ISSUER is not set, and the app then listens on this machine alone.
"""

from __future__ import annotations

import secrets
import time
from typing import Annotated

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from fastapi import APIRouter
from pydantic import BaseModel, StringConstraints

GOOD_FOR = 3600
"""Seconds. Clerk's are good for one minute, and its frontend fetches them anew."""


class LogIn(BaseModel):
    """Who somebody says that they are."""

    user_id: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]


class Issuer:
    """Signs users' tokens with a key that is made anew at each start, so that a restart signs everybody out.

    Args:
        url: Its `iss`, and the origin of the app's page.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._name = f"dev_{secrets.token_hex(8)}"

    def token(self, user_id: str, *, good_for: int = GOOD_FOR) -> str:
        """Return a token of a user's, good for so many seconds."""
        now = int(time.time())
        claims = {"iss": self.url, "azp": self.url, "sub": user_id, "role": "authenticated"}
        times = {"iat": now, "nbf": now, "exp": now + good_for}
        return jwt.encode(claims | times, self._key, "RS256", headers={"kid": self._name})

    def keys(self) -> dict[str, list[dict[str, object]]]:
        """Return the public key as a JWKS (RFC 7517): by it the app verifies the tokens, as it would Clerk's."""
        public = jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return {"keys": [{**public, "use": "sig", "alg": "RS256", "kid": self._name}]}

    def routes(self) -> APIRouter:
        """Return where the keys are published, and where a token is had for a name."""
        router = APIRouter(tags=["issuer for development"])
        router.get("/.well-known/jwks.json")(self.keys)

        @router.post("/dev/token")
        def token(who: LogIn) -> dict[str, str]:
            return {"token": self.token(who.user_id)}

        return router
