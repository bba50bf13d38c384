"""Texts that nobody else uses, planted wherever something private can stand, and the search for them."""

import base64
import json
import re
import secrets
from dataclasses import dataclass, field
from urllib.parse import quote

# Short, so that they survive what cuts a value to some thirty characters (`reprlib`, of asyncio's debug mode).
_BYTES = 4


@dataclass
class Canaries:
    """What was planted, by what it is."""

    planted: dict = field(default_factory=dict)
    _patterns: dict = field(default_factory=dict)

    def new(self, what):
        """Return a text that is to be seen nowhere."""
        return self.plant(what, f"{what[:4]}{secrets.token_hex(_BYTES)}")

    def plant(self, what, text):
        """Take a text for one of them, such as a key that somebody else made."""
        self.planted[what] = text
        self._patterns[what] = re.compile("|".join(map(re.escape, set(forms(text)))))
        return text

    def found_in(self, text):
        """Return which of them a text holds: as they are, or in another writing."""
        return sorted(what for what, pattern in self._patterns.items() if pattern.search(text))


def forms(text):
    """Return how a text may be written: plain, base64 wherever it begins, hexadecimal, quoted for a URL or JSON."""
    raw = text.encode()
    yield text
    yield raw.hex()
    yield quote(text, safe="")
    yield json.dumps(text)[1:-1]
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for before in range(3):
            # Of the first and the last characters some bits are those of what stands beside it.
            encoded = encode(b"\0" * before + raw).decode().rstrip("=")
            yield encoded[4 if before else 0 : -2]
