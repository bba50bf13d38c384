"""How the app's data lies in Redis, and whose it is: as the settings say, and what the app passed beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from chatstore.errors import ConfigurationError
from chatstore.models import Kind
from chatstore.ownership import FORMS, OwnerOf, Owners, SameUsers, Users, as_owners, as_users, load_owners, load_users
from chatstore.settings import Settings, setting_name

if TYPE_CHECKING:
    from chatstore.redis.layouts.layout import ChatLayout, DocumentLayout

OwnersGiven: TypeAlias = Owners | OwnerOf | Mapping[str, str]
"""Whose a record is, as an app may say it: an object, a function from the key to the user's id, or a dictionary."""

UsersGiven: TypeAlias = Users | Mapping[str, str]
"""What the users' ids in Redis have become: an object, or a dictionary from old ids to new ones."""

Layout = TypeVar("Layout")

_LAYOUTS = {Kind.CHAT: "chat_layout", Kind.DOCUMENTS: "document_layout"}
_OWNERS = {Kind.CHAT: "owners", Kind.DOCUMENTS: "document_owners"}
_PARTS = {Kind.CHAT: "chat", Kind.DOCUMENTS: "document"}
_RECORD = {Kind.CHAT: "session", Kind.DOCUMENTS: "document"}


class UnownedError(ConfigurationError):
    """The layout does not say whose its records are, and nothing else does."""


class OldLayouts:
    """The layouts of both kinds, each made once. What they need of files and functions is loaded when they are.

    Args:
        settings: What names them.
        owners: Whose a session is; wins over the settings. So do the next two.
        document_owners: Whose a document is.
        users: What the users' ids in Redis have become.
        ownerless: Make layouts that know of no owners, and need none: for what looks at no record.

    Raises:
        ConfigurationError: A mapping cannot be that.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        owners: OwnersGiven | None = None,
        document_owners: OwnersGiven | None = None,
        users: UsersGiven | None = None,
        ownerless: bool = False,
    ) -> None:
        self._settings = settings
        self._ownerless = ownerless
        given = {Kind.CHAT: owners, Kind.DOCUMENTS: document_owners}
        self._given = {kind: as_owners(found) for kind, found in given.items() if found is not None}
        self._users = None if users is None else as_users(users)
        self._chat: ChatLayout | None = None
        self._documents: DocumentLayout | None = None

    def has(self, kind: Kind) -> bool:
        """Return whether the settings name a layout of this kind: `CHATSTORE_LAYOUT` may be one of the other alone.

        Raises:
            ConfigurationError: There is no layout of that name.
        """
        name, known = self._name(kind), _known(kind)
        if name in known:
            return True
        own = getattr(self._settings, _LAYOUTS[kind])
        if own is None and name in _known(*(other for other in Kind if other is not kind)):
            return False
        setting = setting_name("layout" if own is None else _LAYOUTS[kind])
        names = ", ".join(sorted(_known(*Kind) if own is None else known))
        raise ConfigurationError(f"{setting} is {name!r}; there are {names}")

    def require(self, kind: Kind) -> None:
        """Check that there is a layout of this kind.

        Raises:
            ConfigurationError: There is none; the message says what to set.
        """
        if not self.has(kind):
            raise ConfigurationError(
                f"the layout {self._name(kind)!r} has no {_RECORD[kind]}s: where Redis has some in another layout, "
                f"name it in {setting_name(_LAYOUTS[kind])} ({', '.join(sorted(_known(kind)))})"
            )

    def chat(self) -> ChatLayout:
        """Return the layout of the chats.

        Raises:
            ConfigurationError: There is none, or whose a session is is said wrongly, or nowhere, or twice.
        """
        if self._chat is None:
            from chatstore.redis import chat_layout  # noqa: PLC0415 - imported when first used

            self._chat = self._made(Kind.CHAT, chat_layout)
        return self._chat

    def documents(self) -> DocumentLayout:
        """Return the layout of the documents.

        Raises:
            ConfigurationError: As of `chat`.
        """
        if self._documents is None:
            from chatstore.redis import document_layout  # noqa: PLC0415

            self._documents = self._made(Kind.DOCUMENTS, document_layout)
        return self._documents

    def of(self, kind: Kind) -> ChatLayout | DocumentLayout:
        """Return the layout of a kind.

        Raises:
            ConfigurationError: As of `chat`.
        """
        return self.chat() if kind is Kind.CHAT else self.documents()

    def users(self) -> Users:
        """Return what the users' ids in Redis have become.

        Raises:
            ConfigurationError: The setting is not what it has to be.
        """
        if self._users is None:
            setting = self._settings.users
            self._users = SameUsers() if setting is None else load_users(setting)
        return self._users

    def _name(self, kind: Kind) -> str:
        own = getattr(self._settings, _LAYOUTS[kind])
        return str(own or self._settings.layout)

    def _made(self, kind: Kind, make: Callable[..., Layout]) -> Layout:
        self.require(kind)
        name, part = self._name(kind), _PARTS[kind]
        prefix, index = getattr(self._settings, f"{part}_prefix"), getattr(self._settings, f"{part}_index")
        owners = None if self._ownerless else self._owners_of(kind, name)
        return make(name, prefix=prefix, index=index, owners=owners)

    def _owners_of(self, kind: Kind, name: str) -> Owners | None:
        """Return the mapping of owners.

        Raises:
            ConfigurationError: There is none and the layout needs one, or there is one that it has no use for.
        """
        setting, owned = getattr(self._settings, _OWNERS[kind]), _known(kind)[name].owned
        called, record = setting_name(_OWNERS[kind]), _RECORD[kind]
        owners = self._given.get(kind)
        if owners is None and setting is not None:
            owners = load_owners(setting, name=called)
        if owners is None and not owned:
            raise UnownedError(
                f"the layout {name!r} does not say whose a {record} is: say it in {called}, as one of\n{FORMS}"
            )
        if kind is Kind.CHAT and owners is not None:
            if owned:
                raise ConfigurationError(
                    f"the layout {name!r} says itself whose a {record} is: leave {called} (`{_OWNERS[kind]}=`) out"
                )
            if owners.field:
                raise ConfigurationError(
                    f"{called}: a {record} of the layout {name!r} has no field that says whose it is: use another of\n"
                    f"{FORMS}"
                )
        return owners


def _known(*kinds: Kind) -> Mapping[str, type[ChatLayout | DocumentLayout]]:
    """Return the layouts of some kinds by name."""
    from chatstore.redis import CHAT_LAYOUTS, DOCUMENT_LAYOUTS  # noqa: PLC0415

    chats = CHAT_LAYOUTS if Kind.CHAT in kinds else {}
    return {**chats, **(DOCUMENT_LAYOUTS if Kind.DOCUMENTS in kinds else {})}
