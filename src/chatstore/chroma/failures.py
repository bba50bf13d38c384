"""What chromadb and httpx raise, as errors of ours. None of them quotes a record, a credential or a URL's password."""

from __future__ import annotations

import re

import httpx
import orjson

from chatstore.errors import ChatStoreError, ConfigurationError, InvalidRecordError, NotFoundError, UnavailableError

_DIMENSIONS = re.compile(r"dimension of (\d+), got (\d+)")
_TORN = ("Error finding id", "Nothing found on disk")


class TornReadError(UnavailableError):
    """A read met a record, or an index, of which only a part is there, as while it is being written or removed."""


def translated(error: Exception, address: str) -> ChatStoreError:
    """Return the error that a caller gets in place of `error`.

    Args:
        error: What the client library raised.
        address: Where the server or the folder is, fit to be shown.
    """
    from chromadb import errors  # noqa: PLC0415 - whoever has an error of chromadb's has imported it already

    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return UnavailableError(f"Chroma at {address} did not answer in time: check that it runs and is not overloaded")
    if isinstance(error, httpx.TransportError):
        return UnavailableError(
            f"Chroma at {address} did not answer ({type(error).__name__}): check that it runs there and can be reached"
        )
    if isinstance(error, errors.NotFoundError):
        # Only a collection may be missing: it is made when it is written to. To take a database for empty because its
        # name is misspelled would be a loss.
        if "collection" in str(error).lower():
            return NotFoundError(f"Chroma at {address} has no such collection")
        return ConfigurationError(no_such_database(address))
    if isinstance(error, errors.ChromaAuthError | errors.AuthorizationError):
        return ConfigurationError(refused_credentials(address))
    if isinstance(error, errors.RateLimitError):
        return UnavailableError(f"Chroma at {address} asks for fewer requests at a time: try again later")
    if isinstance(error, errors.QuotaError):
        return InvalidRecordError(f"a record is over a limit that Chroma at {address} sets: see its quotas")
    if found := _DIMENSIONS.search(str(error)):
        return InvalidRecordError(
            f"the embedding has {found[2]} numbers; the documents of this collection have {found[1]}"
        )
    if isinstance(error, errors.InternalError) and any(part in str(error) for part in _TORN):
        return torn_read(address)
    if isinstance(error, errors.InternalError | orjson.JSONDecodeError):
        return _failed(error, address)
    if isinstance(error, errors.InvalidArgumentError | errors.DuplicateIDError | ValueError | TypeError):
        return InvalidRecordError(f"Chroma at {address} cannot take a value of the request ({type(error).__name__})")
    return _failed(error, address)


def tellable(error: Exception) -> Exception | None:
    """Return an error of the client library where it may stand behind one of ours; None where it quotes what was sent.

    What checks a request quotes the value that it refuses; what sends it, a header that it cannot send.
    """
    from chromadb import errors  # noqa: PLC0415

    if isinstance(error, httpx.LocalProtocolError):
        return None
    return error if isinstance(error, httpx.TransportError | TimeoutError | errors.InternalError) else None


def no_such_database(address: str) -> str:
    """Return what to say of a tenant or a database that is not there."""
    return f"Chroma at {address} has no such tenant or database: check CHROMA_TENANT and CHROMA_DATABASE"


def refused_credentials(address: str) -> str:
    """Return what to say when the server does not know who asks."""
    return f"Chroma at {address} refused the credentials: check CHROMA_API_KEY, or the headers"


def torn_read(address: str) -> TornReadError:
    """Return the error of a read that met only parts of some records, for those who get it each time that they try."""
    return TornReadError(
        f"Chroma at {address} gave only parts of some records: try again; if it stays so, its index is damaged"
    )


def _failed(error: Exception, address: str) -> ChatStoreError:
    # The server's own text is left to `__cause__`: it may quote what was sent.
    return UnavailableError(
        f"Chroma at {address} failed ({type(error).__name__}): check its log, its disk and its data folder"
    )
