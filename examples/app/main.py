"""The app, put together: stores, users, routes, and what errors become."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from fastapi import Depends, FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles

import chatstore
from chatstore.identity import TokenVerifier
from chatstore.settings import Settings
from examples.app import chats, identity, library, strip
from examples.app.embedder import make_embedder
from examples.app.guards import Guards
from examples.app.issuer import Issuer
from examples.app.responder import make_responder
from examples.app.settings import AppSettings
from examples.app.turns import Turns

STATIC = Path(__file__).parent / "static"
_STATUS: dict[type[chatstore.ChatStoreError], int] = {
    chatstore.TokenRefusedError: 401,
    chatstore.NotFoundError: 404,
    chatstore.ConflictError: 409,
    chatstore.InvalidRecordError: 422,
    chatstore.UnavailableError: 503,
}


def create_app(settings: Settings, own: AppSettings, url: str, local_secret: str | None = None) -> FastAPI:
    """Return the app.

    Args:
        settings: Chatstore's. Without a `token_issuer`, the app is the issuer of its users' tokens itself: for
            development only, as anybody may then be anybody.
        own: The app's.
        url: Where the app is reached: the issuer's name, when it is one.
        local_secret: See `identity.Identity`.
    """
    issuer = Issuer(url) if settings.token_issuer is None else None
    verifier = TokenVerifier(
        settings.token_issuer or url,
        parties=settings.token_parties if issuer is None else [url],
        audience=settings.token_audience if issuer is None else None,
    )

    comparisons = strip.LastComparisons()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with (
            chatstore.open(
                settings,
                embedder=make_embedder(own.embedder),
                verifier=verifier,
                on_comparison=comparisons.keep,
            ) as stores,
            httpx.AsyncClient(timeout=60) as http,
        ):
            app.state.stores = stores
            app.state.comparisons = comparisons
            app.state.identity = identity.Identity(stores, verifier, local_secret)
            app.state.turns = Turns(stores, make_responder(own, http))
            yield
            await app.state.turns.finish()

    app = FastAPI(title="chatstore's example app", lifespan=lifespan, dependencies=[Depends(identity.same_origin)])
    app.add_middleware(Guards, limit=own.upload_limit)
    for router in (identity.router, chats.router, library.router, strip.router):
        app.include_router(router)
    if issuer is not None:
        app.include_router(issuer.routes())

    @app.get("/api/settings", tags=["log in"])
    def page_settings() -> dict[str, str | bool | None]:
        """Tell the page how users log in here."""
        return {"by_name": issuer is not None, "sign_in_url": own.sign_in_url}

    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(STATIC / "index.html")

    app.mount("/static", StaticFiles(directory=STATIC))
    for kind, status in _STATUS.items():
        app.add_exception_handler(kind, _answer(status))
    return app


def _answer(status: int) -> Callable[[Request, Exception], Awaitable[JSONResponse]]:
    async def answer(_request: Request, error: Exception) -> JSONResponse:
        text = "a server is away; try again a little later" if status == 503 else str(error)  # noqa: PLR2004
        headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None  # noqa: PLR2004
        return JSONResponse({"detail": text}, status, headers)

    return answer
