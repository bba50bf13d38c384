"""How the raw data of records in quarantine is kept in Redis: as it is, encrypted, or as a hash alone."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from chatstore.errors import ConfigurationError
from chatstore.models import RawKept

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet


class RawData:
    """Writes raw data down in one way, and reads it however it was written down.

    Args:
        kept: How it is written down.
        keys: What encrypts it (Fernet: AES-128-CBC with HMAC-SHA256), and reads what was encrypted: one key or several,
            parted by commas. The first encrypts; the others read what is older. None: nothing encrypted is read.

    Raises:
        ConfigurationError: A key is none, or there is none to encrypt with. The message does not hold it.
    """

    def __init__(self, kept: RawKept = RawKept.PLAIN, keys: str | None = None) -> None:
        self._kept = kept
        self._cipher = None if keys is None else _cipher(keys)
        if kept is RawKept.ENCRYPTED and self._cipher is None:
            raise ConfigurationError(
                "CHATSTORE_QUARANTINE is encrypted, and there is no CHATSTORE_QUARANTINE_KEY to do so: "
                "`chatstore quarantine key` makes one"
            )

    def written(self, raw: bytes) -> dict[str, str]:
        """Return the fields that stand for raw data."""
        if self._kept is RawKept.HASH:
            return {"sha256": hashlib.sha256(raw).hexdigest()}
        if self._kept is RawKept.ENCRYPTED and self._cipher is not None:
            return {"encrypted": self._cipher.encrypt(raw).decode()}
        return {"raw": base64.b64encode(raw).decode()}

    def read(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return what `written` gave as the fields of a `Quarantined`."""
        if "sha256" in fields:
            return {"raw": b"", "kept": RawKept.HASH, "sha256": fields["sha256"]}
        if "encrypted" in fields:
            return {"raw": self._decrypted(fields["encrypted"]), "kept": RawKept.ENCRYPTED}
        return {"raw": base64.b64decode(fields["raw"])}

    def _decrypted(self, token: str) -> bytes:
        from cryptography.fernet import InvalidToken  # noqa: PLC0415 - few need it

        try:
            return b"" if self._cipher is None else self._cipher.decrypt(token)
        except InvalidToken:  # of another key
            return b""


def new_key() -> str:
    """Return a key that nobody else has."""
    from cryptography.fernet import Fernet  # noqa: PLC0415

    return Fernet.generate_key().decode()


def _cipher(keys: str) -> MultiFernet:
    from cryptography.fernet import Fernet, MultiFernet  # noqa: PLC0415

    try:
        return MultiFernet([Fernet(key.strip()) for key in keys.split(",")])
    except ValueError:
        raise ConfigurationError(
            "CHATSTORE_QUARANTINE_KEY is no key: `chatstore quarantine key` makes one; several are parted by commas"
        ) from None
