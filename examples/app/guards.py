"""What stands before every route: how large a request may be, and what a browser may do with an answer."""

from __future__ import annotations

from typing import Final

from fastapi import HTTPException
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HEADERS: Final = {
    # Only our own files: no text of a user's that would slip through unescaped could run, or send anything away.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Guards:
    """An ASGI application before another one.

    Args:
        app: The other one.
        limit: The most bytes that a request may have.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._limit:
                raise HTTPException(413, self._too_large())
            return message

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                if scope["path"].startswith("/api/"):
                    headers["Cache-Control"] = "no-store"
            await send(message)

        # What says how large it is need not be read first; what does not is counted.
        said = Headers(scope=scope).get("Content-Length", "")
        if said.isdecimal() and int(said) > self._limit:
            await JSONResponse({"detail": self._too_large()}, 413)(scope, receive, guarded)
            return
        await self._app(scope, counted, guarded)

    def _too_large(self) -> str:
        return f"this is more than {self._limit:,} bytes, the most that this app takes"
