"""What mypy must say of users' clients and stores: `make check` asks it. An `ignore` that is not needed fails."""

from typing import assert_type

from chatstore.identity import UserToken
from chatstore.models import Match, Message, Page, Session
from chatstore.stores import Stores
from chatstore.supabase import ServiceClient, SupabaseChat, SupabaseDatabase, SupabaseJournal, UserClient
from chatstore.sync import BlockingStores


def service(client: ServiceClient, token: UserToken) -> None:
    SupabaseJournal(client)
    SupabaseChat(client, bulk=SupabaseDatabase("postgresql://p", client))
    assert_type(client.as_user(token), UserClient)
    client.as_user("a.b.c")  # type: ignore[arg-type] # a text that nobody has verified


def user(client: UserClient) -> None:
    SupabaseJournal(client)  # type: ignore[arg-type]
    SupabaseChat(client)  # type: ignore[arg-type]
    SupabaseDatabase("postgresql://p", client)  # type: ignore[arg-type]
    client.as_user  # type: ignore[attr-defined] # noqa: B018


async def stores(stores: Stores) -> None:
    ann = await stores.for_user("a.b.c")
    assert_type(await ann.chat.messages("session", limit=9), list[Message])
    assert_type(await ann.chat.list_sessions(limit=9), Page[Session])
    assert_type(await ann.documents.search("tea", k=3), list[Match])
    await ann.chat.get_session("ben", "session")  # type: ignore[call-arg]
    await ann.chat.list_sessions(user_id="ben")  # type: ignore[call-arg]
    ann.chat.write  # type: ignore[attr-defined] # noqa: B018


def blocking(stores: BlockingStores) -> None:
    ann = stores.for_user("a.b.c")
    assert_type(ann.chat.messages("session", limit=9), list[Message])
    assert_type(ann.documents.search("tea", k=3), list[Match])
    ann.chat.get_session("ben", "session")  # type: ignore[call-arg]
