"""Whose a request is: a token in the `Authorization` header or in a cookie, and nothing else that the request says."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from pydantic import BaseModel

from chatstore.identity import TokenVerifier, UserToken
from chatstore.local import user_token
from chatstore.stores import Stores, UserStores

COOKIE = "app_token"
_CLERKS_COOKIE = "__session"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Identity:
    """Makes a user's stores of a user's token.

    Args:
        stores: The app's.
        verifier: Verifies tokens by their issuer's keys.
        local_secret: Of the Supabase of `chatstore up`, if that is the one in use. A hosted project trusts the issuer
            and takes its tokens as they are. The local one cannot be told to, so once a token is verified, it is given
            one of its own for the same user and the same time.
    """

    def __init__(self, stores: Stores, verifier: TokenVerifier, local_secret: str | None) -> None:
        self._stores = stores
        self._verifier = verifier
        self._local_secret = local_secret

    async def user(self, token: str) -> UserStores:
        """Return the stores of the user whose token it is.

        Raises:
            TokenRefusedError: It is nobody's.
        """
        verified = await self._verifier.verify(token)
        if self._local_secret is not None:
            left = (verified.expires_at - datetime.now(UTC)).total_seconds()
            verified = UserToken.verified_elsewhere(user_token(self._local_secret, verified.user_id, expires_in=left))
        return await self._stores.for_user(verified)


def token_in(request: Request) -> str:
    """Return a request's token, or an empty text. A header wins, as no other site's page can send one."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme:
        return token if scheme.lower() == "bearer" else ""
    return request.cookies.get(COOKIE) or request.cookies.get(_CLERKS_COOKIE) or ""


async def current_user(request: Request) -> UserStores:
    """Return the stores of the user whose request it is: what every route works with, and all that it can reach."""
    identity: Identity = request.app.state.identity
    return await identity.user(token_in(request))


User = Annotated[UserStores, Depends(current_user)]


def same_origin(request: Request) -> None:
    """Refuse what another site's page lets a browser send, with the user's cookie, to change something (CSRF).

    The cookie is not sent there at all (SameSite); this holds where a browser does not know that, and for the log in.
    """
    if request.method in _SAFE or "Authorization" in request.headers:
        return
    if urlsplit(request.headers.get("Origin", "")).netloc != request.headers.get("Host"):
        raise HTTPException(403, "this comes from another site; a program sends its token in `Authorization: Bearer …`")


class Token(BaseModel):
    """A token of the issuer's."""

    token: str


class Who(BaseModel):
    """Whose the session of a browser is."""

    user_id: str


router = APIRouter(tags=["log in"])


@router.post("/login")
async def log_in(request: Request, response: Response, given: Token) -> Who:
    """Keep a token of the issuer's in a cookie that no script can read, for as long as it is good."""
    identity: Identity = request.app.state.identity
    user = await identity.user(given.token)
    left = int((user.token.expires_at - datetime.now(UTC)).total_seconds())
    secure = request.url.scheme == "https"
    response.set_cookie(COOKIE, given.token, max_age=left, httponly=True, samesite="strict", secure=secure)
    return Who(user_id=user.user_id)


@router.post("/logout", status_code=204)
async def log_out(response: Response) -> None:
    """Forget the cookie."""
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")


@router.get("/api/me")
async def me(user: User) -> Who:
    """Tell whose the request is."""
    return Who(user_id=user.user_id)
