"""A Chroma server's address: what of its URL goes where, and whether Chroma answers there."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

import httpx
import orjson
from httpx import codes

from chatstore.chroma.failures import no_such_database, refused_credentials
from chatstore.errors import ConfigurationError, UnavailableError


def address_of(url: str) -> str:
    """Return what names a server in errors: its URL without user, password and path.

    Raises:
        ConfigurationError: The URL is not one of http or https.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # it would quote a part of what may be a password
        raise ConfigurationError("CHROMA_URL is no URL; one looks like http://localhost:8000") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError("CHROMA_URL begins with http:// or https:// and a host, as in http://localhost:8000")
    return f"{parts.scheme}://{parts.hostname}" + (f":{port}" if port else "")


def without_credentials(url: str, headers: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Return a URL without user and password, and the headers with them (RFC 7617), unless these say who asks.

    Raises:
        ConfigurationError: One of them cannot be sent.
    """
    parts = urlsplit(url)
    sent = dict(headers)
    given, at, place = parts.netloc.rpartition("@")
    if at and not any(name.lower() == "authorization" for name in sent):
        sent["Authorization"] = f"Basic {b64encode(unquote(given).encode()).decode()}"
    for name, value in sent.items():
        check_sendable(value, f"the header {name}")
    return parts._replace(netloc=place).geturl(), sent


def check_sendable(value: str, what: str) -> None:
    """Check that a header can have a value: what sends it would quote it in its log.

    Raises:
        ConfigurationError: It cannot.
    """
    if not (value.isascii() and value.isprintable() and value == value.strip()):
        raise ConfigurationError(f"{what} for Chroma has a character that cannot be sent, such as a line break")


def probe(url: str, path: str, field: str, *, headers: Mapping[str, str] | None, timeout: float, address: str) -> None:
    """Ask the server something before chromadb does, whose client has no timeout yet and would wait for ever.

    Raises:
        ConfigurationError: It does not know what was asked for, or who asks.
        UnavailableError: It answers without the field that Chroma's answer has.
        httpx.TransportError: It cannot be reached.
    """
    answer = httpx.get(f"{url.rstrip('/')}/api/v2/{path}", headers=headers, timeout=timeout)
    if answer.status_code == codes.NOT_FOUND:
        raise ConfigurationError(no_such_database(address))
    if answer.status_code in (codes.UNAUTHORIZED, codes.FORBIDDEN):
        raise ConfigurationError(refused_credentials(address))
    try:
        is_chroma = answer.is_success and field in orjson.loads(answer.content)
    except (ValueError, TypeError):
        is_chroma = False
    if not is_chroma:
        raise UnavailableError(
            f"what answers at {address} ({answer.status_code}) is not Chroma, or is not well: check its address and log"
        )
