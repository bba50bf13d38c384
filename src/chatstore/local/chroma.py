"""The Chroma server of the local stack."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import ClassVar

import httpx

from chatstore.local.ports import HOST
from chatstore.local.server import Server

# What the `chroma` command does, without the 1.5 seconds for importing the whole client library first.
_RUN = "import sys, chromadb_rust_bindings; chromadb_rust_bindings.cli(['chroma', 'run', *sys.argv[1:]])"


class Chroma(Server):
    """Chroma with its data in a folder."""

    name: ClassVar[str] = "chroma"

    @property
    def url(self) -> str:
        """Its URL."""
        return f"http://{HOST}:{self.port}"

    def _command(self) -> list[str]:
        options = ["--path", str(self.folder), "--host", HOST, "--port", str(self.port)]
        return [sys.executable, "-c", _RUN, *options]

    def _environment(self) -> Mapping[str, str]:
        return {"ANONYMIZED_TELEMETRY": "False", "NO_COLOR": "1"}

    def _probe(self) -> None:
        # Whatever proxy the environment names, it does not lead to this machine's own loopback.
        answer = httpx.get(f"{self.url}/api/v2/heartbeat", timeout=2, trust_env=False)
        answer.raise_for_status()
