"""Keeping the headers of requests out of the log of the library that packs them for HTTP/2."""

from __future__ import annotations

import logging
from typing import Final

_PACKERS: Final = ("hpack.hpack", "hpack.table")


def keep_headers_out_of_the_log() -> None:
    """Drop what `hpack` logs at DEBUG, in this process from now on: each header, that is the key or a user's token.

    Our own connections speak HTTP/1.1; a client that the app has made may speak HTTP/2. Again is harmless.
    """
    for name in _PACKERS:
        logging.getLogger(name).addFilter(_without_headers)


def _without_headers(record: logging.LogRecord) -> bool:
    return record.levelno > logging.DEBUG
