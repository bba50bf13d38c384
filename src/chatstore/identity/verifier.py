"""Verifying users' tokens by their issuer's public keys."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Any, Final

import jwt
from jwt.exceptions import (
    ExpiredSignatureError,
    ImmatureSignatureError,
    InvalidAlgorithmError,
    InvalidAudienceError,
    InvalidIssuerError,
    InvalidKeyError,
    InvalidSignatureError,
    InvalidTokenError,
    MissingRequiredClaimError,
    PyJWTError,
)

from chatstore.errors import ConfigurationError, TokenRefusedError
from chatstore.identity.claims import check_form, expiry_of, user_of
from chatstore.identity.keys import ALGORITHMS, IssuerKeys
from chatstore.identity.user_token import LEEWAY, UserToken, user_token

_REASONS: Final[tuple[tuple[type[PyJWTError], str], ...]] = (
    (ExpiredSignatureError, "it has expired: give the one that came with the user's latest request"),
    (ImmatureSignatureError, "it is not good yet: do this machine's and the issuer's clocks differ?"),
    (InvalidIssuerError, "it has another issuer than CHATSTORE_TOKEN_ISSUER"),
    (InvalidAudienceError, "its audience (`aud`) is not what CHATSTORE_TOKEN_AUDIENCE says, or that says none"),
    (InvalidAlgorithmError, f"it is not signed by the algorithm of the issuer's key ({' or '.join(ALGORITHMS)})"),
    (InvalidSignatureError, "its signature is not by the issuer's key"),
    (InvalidKeyError, "the issuer's key is too short"),
)


class TokenVerifier:
    """Makes sure whose a token is: by RS256 or ES256 and the issuer's own keys, and by nothing else.

    A token is taken when the issuer has signed it, it names the issuer, the audience and the authorized party that are
    expected, it is good now, it names a user, and its role is `authenticated`. One verifier serves a whole process, and
    is best shared: it keeps the keys, and fetches them anew when the issuer has changed them (see `IssuerKeys`).

    Args:
        issuer: The tokens' `iss`, to the letter: Clerk's Frontend API URL, or `https://….supabase.co/auth/v1`.
        parties: Which authorized parties (`azp`) are taken: with Clerk, the origins of the app's own frontends. Any,
            and none, when left out.
        audience: Which audience (`aud`) a token must be for; when left out, it must have none. Supabase Auth's is
            `authenticated`.
        leeway: By how much the issuer's clock may differ.
        keys: Where the issuer's keys are; at `<issuer>/.well-known/jwks.json` when left out.

    Raises:
        ConfigurationError: The issuer is no URL that keys can be trusted from.
    """

    def __init__(
        self,
        issuer: str,
        *,
        parties: Collection[str] = (),
        audience: str | None = None,
        leeway: timedelta = LEEWAY,
        keys: IssuerKeys | None = None,
    ) -> None:
        if isinstance(parties, str):
            raise ConfigurationError("the authorized parties are a collection of texts, and not one text")
        self._issuer = issuer
        self._parties = frozenset(parties)
        self._audience = audience
        self._leeway = leeway
        self._keys = keys or IssuerKeys(f"{issuer.rstrip('/')}/.well-known/jwks.json")

    async def verify(self, token: str) -> UserToken:
        """Return whose a token is.

        Raises:
            TokenRefusedError: It is not taken; the message says why, and does not hold it.
            UnavailableError: The issuer's keys are not known, and cannot be fetched now.
        """
        key = await self._keys.key(_key_named(check_form(token)))
        claims = self._verified(token, key)
        user_id = user_of(claims)
        party = claims.get("azp")
        if self._parties and not (isinstance(party, str) and party in self._parties):
            raise TokenRefusedError(
                "the token is refused: its authorized party (`azp`) is none of CHATSTORE_TOKEN_PARTIES"
            )
        return user_token(user_id, expiry_of(claims, self._leeway), token)

    def _verified(self, token: str, key: jwt.PyJWK) -> dict[str, Any]:
        try:
            return jwt.decode(
                token,
                key,
                algorithms=ALGORITHMS,
                audience=self._audience,
                issuer=self._issuer,
                leeway=self._leeway,
                options={"require": ["exp", "iss", "sub"], "enforce_minimum_key_length": True},
            )
        except (PyJWTError, ValueError, OverflowError, RecursionError, TypeError) as error:
            refused = _refused(error)
        raise refused  # not in there: what lies behind an error would be kept with it, and may quote the token


def _key_named(token: str) -> str:
    try:
        header = jwt.get_unverified_header(token)
    except (PyJWTError, ValueError, RecursionError, TypeError):
        header = None
    if header is None:
        raise TokenRefusedError("this is no JWT, so it cannot be a user's token: its header is malformed")
    if header.get("alg") not in ALGORITHMS:
        raise TokenRefusedError(f"the token is not signed by {' or '.join(ALGORITHMS)}, as a user's token must be")
    name = header.get("kid")
    if not isinstance(name, str):
        raise TokenRefusedError("the token does not name the key (`kid`) that it is signed with")
    return name


def _refused(error: Exception) -> TokenRefusedError:
    for kind, reason in _REASONS:
        if isinstance(error, kind):
            return TokenRefusedError(f"the token is refused: {reason}")
    if isinstance(error, MissingRequiredClaimError):
        return TokenRefusedError(f"the token is refused: its `{error.claim}` is missing")
    if isinstance(error, InvalidTokenError):
        return TokenRefusedError("the token is refused: one of its claims is malformed")
    return TokenRefusedError("the token is refused: it is malformed")
