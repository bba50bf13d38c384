"""Where a list goes on: the same text for every store, so that a list can go on after a flip."""

from __future__ import annotations

from datetime import datetime

from chatstore.errors import InvalidRecordError
from chatstore.models.values import check_text, from_micros, to_micros


def place_behind(updated_at: datetime, record_id: str) -> str:
    """Return the `next` of a page that ends with this record."""
    return f"{to_micros(updated_at)}:{record_id}"


def parse_place(after: str) -> tuple[int, str]:
    """Return the last record's `updated_at`, in microseconds since 1970, and its id.

    Raises:
        InvalidRecordError: The text is not the `next` of a page.
    """
    micros, _, record_id = check_text(after, "`next` of a page").partition(":")
    try:
        return (to_micros(from_micros(int(micros))), record_id)
    except (ValueError, OverflowError) as error:
        raise InvalidRecordError("`after` is not the `next` of a page") from error
