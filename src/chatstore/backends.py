"""From the settings to the stores of both sides. Each client library is imported when its backend is first used."""

from __future__ import annotations

from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

from pydantic import SecretStr

from chatstore.errors import ConfigurationError
from chatstore.interfaces import ChatSide, DocumentSide, Embedder, Progress
from chatstore.models import Kind
from chatstore.old_layouts import OldLayouts, OwnersGiven, UsersGiven
from chatstore.routing import Sides
from chatstore.settings import Settings, require, setting_name

if TYPE_CHECKING:
    from chromadb.api import ClientAPI
    from redis.asyncio import Redis, RedisCluster
    from supabase import AsyncClient

    from chatstore.chroma import ChromaClient
    from chatstore.redis import Client as RedisClient
    from chatstore.redis import ForeignWrites
    from chatstore.supabase import ServiceClient, SupabaseDatabase, TokenOf

_CHROMAS = ("chroma_url", "chroma_path", "chroma_api_key")


class Backends:
    """The stores that the settings name, each made when it is first asked for.

    Args:
        settings: Where the servers are.
        embedder: Makes the embeddings that a caller does not give.
        redis: A client that the app has already; it stays open when the backends close. So do the next two.
        supabase: A client that was made with the secret key.
        chroma: A client, embedded or of a server.
        token_of: Gives a user's own Supabase token. With it, what is asked for a user goes out with that user's token,
            under row-level security; without it, with the secret key, scoped by the user id alone.
        bulk: Whether chats that are moved in bulk go past Supabase's API where SUPABASE_DB_URL is set: as a migration
            wants it. What an app asks for never does.
        owners: Whose a session is, where its layout does not say; wins over the settings. So do the next two.
        document_owners: Whose a document is.
        users: What the users' ids in Redis have become.

    Attributes:
        given: What was passed beside the settings, by name, and decides where records lie or whose they are.

    Raises:
        ConfigurationError: One of the last three cannot be that.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        embedder: Embedder | None = None,
        redis: Redis | RedisCluster | None = None,
        supabase: AsyncClient | None = None,
        chroma: ClientAPI | None = None,
        token_of: TokenOf | None = None,
        bulk: bool = True,
        owners: OwnersGiven | None = None,
        document_owners: OwnersGiven | None = None,
        users: UsersGiven | None = None,
    ) -> None:
        self.settings = settings
        passed = {
            "redis": redis,
            "supabase": supabase,
            "chroma": chroma,
            "owners": owners,
            "document_owners": document_owners,
            "users": users,
        }
        self.given = tuple(name for name, value in passed.items() if value is not None)
        self.layouts = OldLayouts(settings, owners=owners, document_owners=document_owners, users=users)
        self._embedder = embedder
        self._redis = redis
        self._supabase = supabase
        self._chroma = chroma
        self._token_of = token_of
        self._bulk = bulk
        self._closing = AsyncExitStack()
        self._redis_connected: RedisClient | None = None
        self._old_chat: ChatSide | None = None
        self._old_documents: DocumentSide | None = None
        self._new_chat: ChatSide | None = None
        self._new_documents: DocumentSide | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the clients that were made here."""
        await self._closing.aclose()

    def has_old(self, kind: Kind) -> bool:
        """Whether the settings name an old side of this kind: a Redis, and a layout that has the kind.

        Raises:
            ConfigurationError: There is no layout of the name that the settings give.
        """
        return (self._redis is not None or self.settings.redis_url is not None) and self.layouts.has(kind)

    def has_new(self, kind: Kind) -> bool:
        """Whether the settings name a new side of this kind."""
        if kind is Kind.CHAT:
            return self._supabase is not None or self.settings.supabase_url is not None
        return self._chroma is not None or any(getattr(self.settings, field) is not None for field in _CHROMAS)

    async def chat_sides(self) -> Sides[ChatSide]:
        """Return the chat stores of both sides.

        Raises:
            ConfigurationError: A setting is missing; the message names all that are.
        """
        self._require_new(Kind.CHAT, *self._old_fields())
        self.layouts.require(Kind.CHAT)
        return Sides(await self.old_chat(), await self.new_chat())

    async def document_sides(self) -> Sides[DocumentSide]:
        """Return the document stores of both sides.

        Raises:
            ConfigurationError: A setting is missing; the message names all that are.
        """
        self._require_new(Kind.DOCUMENTS, *self._old_fields())
        self.layouts.require(Kind.DOCUMENTS)
        return Sides(await self.old_documents(), await self.new_documents())

    async def old_chat(self) -> ChatSide:
        """Return the chat store of the old side: Redis, in the layout of the settings."""
        if self._old_chat is None:
            from chatstore.redis import RedisChat  # noqa: PLC0415 - imported when first used

            layout, users = self.layouts.chat(), self.layouts.users()
            self._old_chat = RedisChat(self._redis_client(), layout, users=users)
        return self._old_chat

    async def old_documents(self) -> DocumentSide:
        """Return the document store of the old side: Redis, in the layout of the settings."""
        if self._old_documents is None:
            from chatstore.redis import RedisDocuments  # noqa: PLC0415

            layout, users = self.layouts.documents(), self.layouts.users()
            self._old_documents = RedisDocuments(self._redis_client(), layout, embedder=self._embedder, users=users)
        return self._old_documents

    async def new_chat(self) -> ChatSide:
        """Return the chat store of the new side: Supabase."""
        if self._new_chat is None:
            from chatstore.supabase import SupabaseChat  # noqa: PLC0415

            client = self._supabase_client()
            self._new_chat = SupabaseChat(client, token_of=self._token_of, bulk=self._supabase_bulk(client))
        return self._new_chat

    async def new_documents(self) -> DocumentSide:
        """Return the document store of the new side: Chroma, with the collection plan of the settings."""
        if self._new_documents is None:
            from chatstore.chroma import ChromaDocuments, PerUser, Sharded, Single  # noqa: PLC0415

            plan = {"user": PerUser, "shards": Sharded, "one": Single}[self.settings.collections]()
            self._new_documents = ChromaDocuments(self._chroma_client(), plan=plan, embedder=self._embedder)
        return self._new_documents

    def supabase_database(self) -> SupabaseDatabase:
        """Return the database of the Supabase project, past its API.

        Raises:
            ConfigurationError: A setting is missing; the message names all that are.
        """
        self._require_new(Kind.CHAT, "supabase_db_url")
        return self._supabase_database(self._supabase_client())

    def progress(self, kind: Kind) -> Progress:
        """Return where runs of a kind's migration write down how far they came: beside the old side's data.

        Raises:
            ConfigurationError: A setting is missing or malformed.
        """
        from chatstore.redis import RawData, RedisProgress  # noqa: PLC0415

        keys = self.settings.quarantine_key
        raw = RawData(self.settings.quarantine, None if keys is None else keys.get_secret_value())
        return RedisProgress(self._redis_client(), kind, raw=raw)

    def foreign_writes(self, kind: Kind, *, enable: bool = False) -> ForeignWrites | None:
        """Return what notices other programs' writes to the old side; None where only chatstore writes the layout.

        Args:
            kind: Chat or documents.
            enable: Change the server's setting where it does not tell of writes yet.
        """
        from chatstore.redis import foreign_documents, foreign_sessions  # noqa: PLC0415

        client, users = self._redis_client(), self.layouts.users()
        if kind is Kind.CHAT:
            return foreign_sessions(client, self.layouts.chat(), users=users, enable=enable)
        return foreign_documents(client, self.layouts.documents(), users=users, enable=enable)

    def _redis_client(self) -> RedisClient:
        if self._redis_connected is None:
            from chatstore.redis import connect, take_over  # noqa: PLC0415

            if self._redis is not None:
                self._redis_connected = take_over(self._redis)
            else:
                require(self.settings, "redis_url")
                self._redis_connected = connect(_secret(self.settings.redis_url))
            self._closing.push_async_callback(self._redis_connected.aclose)
        return self._redis_connected

    def _supabase_client(self) -> ServiceClient:
        from chatstore.supabase import ServiceClient  # noqa: PLC0415

        publishable = _secret(self.settings.supabase_publishable_key) or None
        if self._supabase is not None:
            return ServiceClient(self._supabase, publishable_key=publishable)
        require(self.settings, "supabase_url", "supabase_secret_key")
        client = ServiceClient.connect(
            self.settings.supabase_url or "",
            _secret(self.settings.supabase_secret_key),
            publishable_key=publishable,
        )
        self._closing.push_async_callback(client.close)
        return client

    def _supabase_bulk(self, client: ServiceClient) -> SupabaseDatabase | None:
        return None if not self._bulk or self.settings.supabase_db_url is None else self._supabase_database(client)

    def _supabase_database(self, client: ServiceClient) -> SupabaseDatabase:
        from chatstore.supabase import SupabaseDatabase  # noqa: PLC0415

        database = SupabaseDatabase(_secret(self.settings.supabase_db_url), client)
        self._closing.push_async_callback(database.close)
        return database

    def _chroma_client(self) -> ChromaClient:
        from chatstore.chroma import ChromaClient  # noqa: PLC0415

        if self._chroma is not None:
            return ChromaClient.of(self._chroma)
        self._require_new(Kind.DOCUMENTS)
        settings = self.settings
        if settings.chroma_url is not None:
            client = ChromaClient.server(
                settings.chroma_url.get_secret_value(),
                tenant=settings.chroma_tenant or "default_tenant",
                database=settings.chroma_database or "default_database",
            )
        elif settings.chroma_path is not None:
            client = ChromaClient.embedded(settings.chroma_path)
        else:
            client = ChromaClient.cloud(
                _secret(settings.chroma_api_key), tenant=settings.chroma_tenant, database=settings.chroma_database
            )
        self._closing.push_async_callback(client.close)
        return client

    def _require_new(self, kind: Kind, *others: str) -> None:
        if kind is Kind.CHAT:
            new = () if self._supabase is not None else ("supabase_url", "supabase_secret_key")
            require(self.settings, *others, *new)
            return
        require(self.settings, *others)
        named = [setting_name(field) for field in _CHROMAS if getattr(self.settings, field) is not None]
        if self._chroma is None and len(named) != 1:
            found = " and ".join(named) + " are set" if named else "none is set"
            raise ConfigurationError(
                f"documents go to one Chroma: set one of {', '.join(map(setting_name, _CHROMAS))}; {found}"
            )

    def _old_fields(self) -> tuple[str, ...]:
        return () if self._redis is not None else ("redis_url",)


def _secret(value: SecretStr | None) -> str:
    return "" if value is None else value.get_secret_value()
