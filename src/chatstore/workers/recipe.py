"""What a worker in another process needs to open the same two sides as the planner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Self

from chatstore.backends import Backends
from chatstore.errors import ConfigurationError
from chatstore.models import Kind
from chatstore.settings import Settings, load_settings, setting_name

_WHAT_RECORDS_ARE = (
    "layout",
    "chat_layout",
    "document_layout",
    "chat_prefix",
    "document_prefix",
    "chat_index",
    "document_index",
    "owners",
    "document_owners",
    "users",
    "collections",
)
"""The settings that decide what a record becomes; the others say where the servers are."""


def _own_version() -> str:
    return version("chatstore")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to open the sides of a migration. It can be pickled, and shows no password when it is printed.

    Made by `of`, or by `from_environment`.

    Attributes:
        settings: Where the servers are, with what opens them; None: a worker reads its own.
        expected: The settings that a worker's own must be equal to, by field name.
        version: Which chatstore made it. Others refuse it: they might copy in another way.
    """

    settings: Settings | None
    expected: Mapping[str, object] = field(default_factory=dict)
    version: str = field(default_factory=_own_version)

    @classmethod
    def of(cls, backends: Backends) -> Self:
        """Return a recipe that carries the settings of some backends, passwords and keys included, to each worker.

        Raises:
            ConfigurationError: They were given something that settings do not say, and another process cannot have.
        """
        if backends.given:
            names = ", ".join(f"{name}=" for name in backends.given)
            raise ConfigurationError(
                f"workers in other processes know what the settings say, not what was passed beside them ({names}): "
                "name servers by their settings, and mappings by CHATSTORE_OWNERS, CHATSTORE_DOCUMENT_OWNERS and "
                "CHATSTORE_USERS, where call:package.module:function names a function"
            )
        return cls(settings=backends.settings)

    @classmethod
    def from_environment(cls, backends: Backends) -> Self:
        """Return a recipe with which each worker reads its own environment and `.env.local`: no password travels.

        A worker whose settings say something else about layouts, owners or users refuses to work.

        Raises:
            ConfigurationError: As of `of`.
        """
        settings = cls.of(backends).settings
        return cls(settings=None, expected={name: getattr(settings, name) for name in _WHAT_RECORDS_ARE})

    def settings_here(self) -> Settings:
        """Return the settings to use in this process.

        Raises:
            ConfigurationError: This process has another chatstore, or settings of its own that do not do.
        """
        if self.version != _own_version():
            raise ConfigurationError(
                f"a worker has chatstore {_own_version()}, and the migration was started by {self.version}: "
                "install the same version everywhere"
            )
        if self.settings is not None:
            return self.settings
        own = load_settings()
        for name, expected in self.expected.items():
            if getattr(own, name) != expected:
                raise ConfigurationError(
                    f"{setting_name(name)} is {getattr(own, name)!r} in a worker's own settings, and {expected!r} in "
                    "those of the migration: make them equal"
                )
        return own

    def check(self, kind: Kind) -> None:
        """Check that several processes may work on a kind at once.

        Raises:
            ConfigurationError: They may not.
        """
        if kind is Kind.DOCUMENTS and self.settings is not None and self.settings.chroma_path is not None:
            raise ConfigurationError(
                "an embedded Chroma (CHROMA_PATH) is one process's alone: copy documents in this process, or let "
                "`chroma run` serve that folder and set CHROMA_URL"
            )
