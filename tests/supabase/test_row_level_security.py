"""Tenants never see each other, also when an app passes the wrong user id."""

import httpx
import pytest

from chatstore.errors import ConfigurationError, ConflictError, NotFoundError, TokenRefusedError
from chatstore.identity import UserToken
from chatstore.models import (
    AppendMessages,
    ChatChange,
    CreateSession,
    Mark,
    NewMessage,
    Session,
    Side,
    new_id,
    utc_now,
)
from chatstore.supabase import SupabaseChat

TABLES = ("sessions", "messages")


@pytest.fixture
def as_user(careless, user_client):
    """A function that makes a store which asks with a user's own token, whomever it is asked about."""

    def store(user, **options):
        return careless(user_client(user, **options))

    return store


@pytest.fixture
def rest(settings, token_for):
    """A function that sends a raw request to a table, as a user's browser could; None is nobody."""

    async def send(method, table, user, **options):
        token = settings.supabase_publishable_key if user is None else token_for(user)
        headers = {"apikey": settings.supabase_publishable_key, "Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(trust_env=False) as http:
            return await http.request(method, f"{settings.supabase_url}/rest/v1/{table}", headers=headers, **options)

    return send


@pytest.fixture
async def owned(chat):
    """A session with one message, and the two users: whose it is, and another."""
    owner = new_id()
    session = await chat.create_session(owner, title="mine")
    await chat.append(owner, session.id, NewMessage("user", "secret", id="m1"))
    return session, owner, new_id()


async def test_a_users_token_serves_everything_that_an_app_asks_for(as_user):
    user = new_id()
    chat = as_user(user)
    session = await chat.create_session(user, title="t")
    await chat.append(user, session.id, [NewMessage("user", "one"), NewMessage("assistant", "two")])
    assert (await chat.pop_message(user, session.id)).content == "two"
    assert [message.content for message in await chat.messages(user, session.id)] == ["one"]
    assert await chat.list_sessions(user)
    await chat.clear_messages(user, session.id)
    assert await chat.delete_session(user, session.id)


async def test_a_users_token_with_another_users_id_finds_nothing(as_user, owned):
    session, owner, other = owned
    thief = as_user(other)
    with pytest.raises(NotFoundError):
        await thief.get_session(owner, session.id)
    with pytest.raises(NotFoundError):
        await thief.messages(owner, session.id)
    # Refused in the same words whether there is such a session or not.
    for name in (session.id, new_id()):
        with pytest.raises(ConfigurationError, match="own records only"):
            await thief.append(owner, name, NewMessage("user", "forged"))
    assert not await thief.delete_session(owner, session.id)
    assert (await thief.list_sessions(owner)).items == ()


async def test_a_users_token_creates_nothing_for_another_user(as_user, owned):
    session, owner, other = owned
    with pytest.raises(ConfigurationError):
        await as_user(other).write(CreateSession(user_id=owner, session_id=new_id()))
    with pytest.raises(ConflictError):
        await as_user(other).create_session(other, session_id=session.id)


async def test_a_write_with_a_users_token_sets_its_mark_and_none_of_another_user(as_user, chat):
    user, other = new_id(), new_id()
    mine = as_user(user)
    session = await mine.create_session(user)
    command = AppendMessages(user_id=user, session_id=session.id, messages=(NewMessage("user", "hi"),))
    mark = Mark(key=session.id, user_id=user, side=Side.NEW, op=command.op, message_ids=(command.messages[0].id,))
    await mine.write(command, mark)
    assert list(await chat.journal.marks_of(user)) == [mark]
    forged = AppendMessages(user_id=user, session_id=session.id, messages=(NewMessage("user", "again"),))
    with pytest.raises(ConfigurationError):
        await mine.write(forged, Mark(key="k", user_id=other, side=Side.NEW, op=forged.op))
    assert await chat.count_messages(user, session.id) == 1
    await chat.journal.clear([mark])


async def test_a_mark_of_a_closed_journal_is_not_set_for_a_user_either(as_user, chat):
    user = new_id()
    command = CreateSession(user_id=user, session_id=new_id())
    mark = Mark(key=command.session_id, user_id=user, side=Side.NEW, op=command.op, while_open=True)
    await chat.journal.forget_state()
    await as_user(user).write(command, mark)
    assert list(await chat.journal.marks_of(user)) == []


async def test_what_is_for_the_service_key_is_refused_to_a_user(as_user, owned):
    session, owner, _ = owned
    mine = as_user(owner)
    now = utc_now()
    header = Session(id=session.id, user_id=owner, created_at=now, updated_at=now, version=session.version + 2)
    for attempt in (
        mine.put([ChatChange(session_id=session.id, user_id=owner, session=header)]),
        mine.count(),
        anext(mine.scan()),
        anext(mine.fetch([session.id])),
        mine.journal.marks(limit=1),
        mine.journal.backlog(),
        mine.journal.state(),
        mine.journal.remember(journal_open=True),
        mine.journal.forget_state(),
    ):
        with pytest.raises(ConfigurationError):
            await attempt


@pytest.mark.parametrize("table", TABLES)
async def test_a_raw_request_sees_own_rows_only(rest, owned, table):
    session, owner, other = owned
    column = "id" if table == "sessions" else "session_id"
    mine = await rest("GET", table, owner, params={column: f"eq.{session.id}"})
    assert len(mine.json()) == 1
    theirs = await rest("GET", table, other, params={column: f"eq.{session.id}"})
    assert theirs.json() == []
    nobody = await rest("GET", table, None)
    assert nobody.status_code in (401, 403)
    assert "secret" not in nobody.text


async def test_a_raw_insert_for_another_user_is_refused(rest, owned):
    session, owner, other = owned
    stolen = {"id": new_id(), "user_id": owner}
    refused = await rest("POST", "sessions", other, json=stolen)
    assert refused.json()["code"] == "42501"
    # Neither under the other's id nor under one's own does a message get into another's session.
    for user in (owner, other):
        message = {
            "session_id": session.id,
            "id": new_id(),
            "user_id": user,
            "position": 9,
            "role": "user",
            "content": "",
        }
        refused = await rest("POST", "messages", other, json=message)
        assert refused.json()["code"] == "42501"


@pytest.mark.parametrize("name", ["session_states", "tombstones", "copied", "marks", "migration"])
async def test_what_is_chatstores_own_is_not_exposed(settings, token_for, name):
    for token in (token_for(new_id()), settings.supabase_secret_key):
        headers = {
            "apikey": settings.supabase_publishable_key,
            "Authorization": f"Bearer {token}",
            "Accept-Profile": "chatstore",
        }
        async with httpx.AsyncClient(trust_env=False) as http:
            answer = await http.get(f"{settings.supabase_url}/rest/v1/{name}", headers=headers)
        assert answer.status_code in (401, 406)


async def test_an_expired_token_is_refused_and_named_as_the_reason(as_user):
    user = new_id()
    with pytest.raises(TokenRefusedError, match="expired"):
        await as_user(user, expires_in=-60).list_sessions(user)


async def test_a_row_that_an_app_put_there_itself_is_a_session_like_any(rest, chat):
    user, name = new_id(), new_id()
    assert (await rest("POST", "sessions", user, json={"id": name, "user_id": user})).status_code == 201
    row = {"session_id": name, "id": "a", "user_id": user, "position": 5, "role": "user", "content": "hi"}
    assert (await rest("POST", "messages", user, json=row)).status_code == 201
    session = await chat.get_session(user, name)
    assert session.version & 1
    [message] = await chat.append(user, name, NewMessage("assistant", "hello"))
    assert (message.position, message.version > session.version) == (6, True)


@pytest.fixture
def no_tokens(settings, token_for, owned):
    """What may come instead of the owner's token, by what is to be said of it."""
    _, owner, other = owned
    return {
        "secret key": settings.supabase_secret_key,
        "publishable key": settings.supabase_publishable_key,
        "service_role": token_for(owner, role="service_role"),
        "expired": token_for(owner, expires_in=-60),
        "another user": token_for(other),
        "no user's token": None,
    }


@pytest.mark.parametrize(
    "reason", ["secret key", "publishable key", "service_role", "expired", "another user", "no user's token"]
)
async def test_what_is_no_token_of_the_user_asks_nothing_in_the_users_name(client, owned, no_tokens, reason):
    session, owner, _ = owned

    async def token_of(user_id):
        return no_tokens[reason]

    with pytest.raises(TokenRefusedError, match=reason) as refused:
        await SupabaseChat(client, token_of=token_of).get_session(owner, session.id)
    assert str(no_tokens[reason]) not in str(refused.value)


async def test_a_users_own_store_asks_for_no_other_user(client, token_for, owned):
    session, owner, other = owned
    mine = SupabaseChat(client).for_user(UserToken.verified_elsewhere(token_for(other)))
    assert (await mine.list_sessions(other)).items == ()
    for attempt in (mine.get_session(owner, session.id), mine.list_sessions(owner), mine.create_session(owner)):
        with pytest.raises(TokenRefusedError, match="another user"):
            await attempt
