"""What a caller is told when a request fails; and that no key and no record is told with it."""

import asyncio

import httpx
import jwt
import pytest
from supabase import AsyncClient, AsyncClientOptions

from chatstore.errors import (
    ConfigurationError,
    ConflictError,
    InvalidRecordError,
    NotFoundError,
    SchemaError,
    UnavailableError,
)
from chatstore.identity import UserToken
from chatstore.models import ChatChange, NewMessage, Session, new_id, utc_now
from chatstore.supabase import SCHEMA_VERSION, ServiceClient, SupabaseChat, SupabaseJournal, UserClient

KEY = "sb_secret_do_not_tell"


@pytest.fixture
async def answering():
    """A function that makes a client whose server gives these answers: (status, body), one after another."""
    opened = []

    def make(*answers):
        rest = iter(answers)

        def answer(request):
            if request.url.path.endswith("/chatstore_version"):
                return httpx.Response(200, json=SCHEMA_VERSION)
            status, body = next(rest)
            return httpx.Response(status, json=body) if isinstance(body, dict) else httpx.Response(status, text=body)

        session = httpx.AsyncClient(transport=httpx.MockTransport(answer))
        opened.append(session)
        return ServiceClient(AsyncClient("https://p.supabase.co", KEY, AsyncClientOptions(httpx_client=session)))

    yield make
    for session in opened:
        await session.aclose()


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (404, {"code": "PGRST202", "message": "no function"}, SchemaError),
        (404, {"code": "PGRST205", "message": "no table"}, SchemaError),
        (406, {"code": "PGRST106", "message": "schema"}, SchemaError),
        (404, {"code": "42P01", "message": "relation"}, SchemaError),
        (403, {"code": "42501", "message": "permission denied"}, ConfigurationError),
        (401, {"code": "PGRST301", "message": "JWSError"}, ConfigurationError),
        (401, {"message": "Invalid API key", "hint": "Double check"}, ConfigurationError),
        (404, "<html>not here</html>", ConfigurationError),
        (302, "<html>log in first</html>", ConfigurationError),
        (404, {"code": "PT404", "message": "there is no such session", "details": "s"}, NotFoundError),
        (409, {"code": "PT409", "message": "the session id is taken", "details": "s"}, ConflictError),
        (409, {"code": "23505", "message": "duplicate key", "details": "Key (id)=(…)"}, ConflictError),
        (400, {"code": "22003", "message": "number: a secret text"}, InvalidRecordError),
        (400, {"code": "23514", "message": "check", "details": "Failing row: a secret text"}, InvalidRecordError),
        (500, {"code": "54000", "message": "index row size"}, InvalidRecordError),
        (500, {"code": "SUP", "message": "PostgresError: index row size"}, InvalidRecordError),
        (413, "too large", InvalidRecordError),
        (429, "too many", UnavailableError),
        (502, "<html>bad gateway</html>", UnavailableError),
        (500, {"code": "57014", "message": "canceling statement due to statement timeout"}, UnavailableError),
        (503, {"code": "PGRST001", "message": "no connection"}, UnavailableError),
        (500, {"code": "XX000", "message": "a secret text"}, UnavailableError),
    ],
)
async def test_an_answer_becomes_the_error_that_a_caller_can_act_on(answering, status, body, error):
    with pytest.raises(error) as raised:
        await answering((status, body)).call("chatstore_session")
    assert "secret text" not in str(raised.value)
    assert KEY not in str(raised.value)


@pytest.mark.parametrize(
    "lost", [{"code": "40P01", "message": "deadlock"}, {"code": "SUP", "message": "PostgresError: deadlock detected"}]
)
async def test_a_request_that_lost_a_race_is_made_again(answering, lost):
    assert await answering((500, lost), (500, lost), (200, '"[1]"')).call("chatstore_session") == [1]


async def test_another_version_of_the_schema_is_named_with_the_command_that_helps():
    def old(_request):
        return httpx.Response(200, json=SCHEMA_VERSION - 1)

    async with httpx.AsyncClient(transport=httpx.MockTransport(old)) as session:
        made = AsyncClient("https://p.supabase.co", KEY, AsyncClientOptions(httpx_client=session))
        with pytest.raises(SchemaError, match="chatstore schema --apply"):
            await SupabaseChat(ServiceClient(made)).get_session("u", "s")


async def test_a_page_that_is_not_supabases_is_recognised():
    def page(_request):
        return httpx.Response(200, text="<html>welcome</html>")

    async with httpx.AsyncClient(transport=httpx.MockTransport(page)) as session:
        made = AsyncClient("https://p.example.com", KEY, AsyncClientOptions(httpx_client=session))
        with pytest.raises(ConfigurationError, match="SUPABASE_URL"):
            await SupabaseChat(ServiceClient(made)).get_session("u", "s")


async def test_the_version_is_asked_for_once(token_for):
    asked = []

    def answer(request):
        asked.append(request.url.path.rpartition("/")[2])
        return httpx.Response(200, json=SCHEMA_VERSION if asked[-1] == "chatstore_version" else "[]")

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as session:
        client = ServiceClient(AsyncClient("https://p.supabase.co", KEY, AsyncClientOptions(httpx_client=session)))
        await client.call("chatstore_marks")
        await client.as_user(UserToken.verified_elsewhere(token_for("u"))).call("chatstore_sessions")
    assert asked == ["chatstore_version", "chatstore_marks", "chatstore_sessions"]


async def test_a_users_client_has_the_users_token_and_leaves_the_others_as_they_are(token_for):
    seen, token = [], token_for("u")

    def answer(request):
        seen.append(request.headers["Authorization"])
        return httpx.Response(200, json=SCHEMA_VERSION)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as session:
        client = ServiceClient(AsyncClient("https://p.supabase.co", KEY, AsyncClientOptions(httpx_client=session)))
        user = client.as_user(UserToken.verified_elsewhere(token))
        await asyncio.gather(user.schema_version(), client.schema_version())
    assert sorted(seen) == sorted([f"Bearer {token}", f"Bearer {KEY}"])


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://x", "https://"])
def test_a_url_that_is_none_is_named_by_its_setting(url):
    with pytest.raises(ConfigurationError, match="SUPABASE_URL"):
        ServiceClient.connect(url, KEY)


def test_an_empty_key_is_named_by_its_setting():
    with pytest.raises(ConfigurationError, match="SUPABASE_SECRET_KEY"):
        ServiceClient.connect("https://p.supabase.co", "")


async def test_a_server_that_is_not_there_is_named():
    client = ServiceClient.connect("http://127.0.0.1:1", KEY)
    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:1"):
        await client.call("chatstore_session")
    await client.close()


async def test_a_server_that_is_silent_is_given_up():
    async def silent(_reader, writer):
        await asyncio.sleep(2)
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = ServiceClient.connect(f"http://127.0.0.1:{port}", KEY, timeout=0.2)
    with pytest.raises(UnavailableError, match="in time"):
        await client.call("chatstore_session")
    await client.close()
    server.close()


async def test_a_key_of_another_project_is_refused(settings):
    client = ServiceClient.connect(settings.supabase_url, KEY)
    with pytest.raises(ConfigurationError, match="key") as error:
        await SupabaseChat(client).get_session("u", "s")
    assert KEY not in str(error.value)
    await client.close()


async def test_the_publishable_key_alone_reaches_nothing(careless, public_client):
    with pytest.raises(ConfigurationError, match="SUPABASE_SECRET_KEY"):
        await careless(public_client).get_session("u", "s")


async def test_a_change_that_postgres_cannot_hold_is_refused_as_such(chat):
    now = utc_now()
    huge = Session(id=new_id(), user_id="u", metadata={"n": 10**200_000}, created_at=now, updated_at=now, version=2)
    with pytest.raises(InvalidRecordError):
        await chat.put([ChatChange(session_id=huge.id, user_id="u", session=huge)])


async def test_the_largest_ids_fit(chat):
    user, session, message = (new_id() * 28 for _ in range(3))
    await chat.create_session(user, session_id=session)
    await chat.append(user, session, NewMessage("user", "hi", id=message))
    assert [found.id for found in await chat.messages(user, session)] == [message]


async def test_an_app_clients_own_sign_in_changes_nothing():
    seen = []

    def answer(request):
        seen.append(request.headers["Authorization"])
        return httpx.Response(200, json=SCHEMA_VERSION)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as session:
        made = AsyncClient("https://p.supabase.co", KEY, AsyncClientOptions(httpx_client=session))
        client = ServiceClient(made)
        made.options.headers["Authorization"] = "Bearer of-a-user"
        made.postgrest.auth("of-a-user")
        await client.schema_version()
    assert seen == [f"Bearer {KEY}"]


@pytest.mark.parametrize(
    ("key", "named"),
    [
        ("sb_publishable_do_not_tell", "publishable key"),
        ("anon", "anon key"),
        ("authenticated", "user's token"),
        ("service_role", "user's token"),  # with a `sub`, which no key has
    ],
)
def test_what_is_no_secret_key_is_refused_where_one_belongs_and_not_told(token_for, key, named):
    given = key if key.startswith("sb_") else token_for("u", role=key)
    made = AsyncClient("https://p.supabase.co", given, AsyncClientOptions(httpx_client=httpx.AsyncClient()))
    for attempt in (lambda: ServiceClient.connect("https://p.supabase.co", given), lambda: ServiceClient(made)):
        with pytest.raises(ConfigurationError, match=f"{named}.*SUPABASE_SECRET_KEY") as error:
            attempt()
        assert given not in str(error.value)


@pytest.mark.parametrize("key", [KEY, "an.own.key"])
def test_the_keys_that_may_be_secret_ones_are_taken(key):
    assert ServiceClient(
        AsyncClient("https://p.supabase.co", key, AsyncClientOptions(httpx_client=httpx.AsyncClient()))
    )


def test_the_older_service_role_key_is_taken(settings):
    claims = {"iss": "supabase", "ref": "p", "role": "service_role", "iat": 1, "exp": 9_999_999_999}
    key = jwt.encode(claims, settings.supabase_jwt_secret, "HS256")
    assert ServiceClient.connect("https://p.supabase.co", key)


def test_a_users_client_is_none_for_what_needs_the_secret_key(user_client):
    user = user_client("u")
    for needs in (SupabaseChat, SupabaseJournal):
        with pytest.raises(ConfigurationError, match="ServiceClient"):
            needs(user)


def test_a_users_client_is_made_with_no_text(public, settings):
    for text in (settings.supabase_secret_key, settings.supabase_publishable_key, "a.b.c"):
        with pytest.raises(ConfigurationError, match="UserToken"):
            UserClient(public, text, publishable_key="k")
