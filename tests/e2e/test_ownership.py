"""An app whose Redis does not say whose a session is, and whose users have other ids by now."""

import pytest
import redis
from pydantic import SecretStr

import chatstore
from chatstore.backends import Backends
from chatstore.errors import ConfigurationError, NotFoundError
from chatstore.migration import (
    BackfillOptions,
    VerifyOptions,
    backfill_chat,
    backfill_documents,
    verify_chat,
    verify_documents,
)
from chatstore.models import Kind, NewMessage, Side, Stage, utc_now
from chatstore.redis import CHAT_LAYOUTS, DOCUMENT_LAYOUTS
from chatstore.routing import ChatRouter, chat_repairer, document_repairer
from chatstore.settings import load_settings
from tests.conformance.factories.chroma import new_database
from tests.e2e.langchain_app import heard, say
from tests.flags import Flags

QUICK = BackfillOptions(batch=50, settle_seconds=0)
QUICK_VERIFY = VerifyOptions(batch=50, wait=0.05)
MOVED = "old,new\nana,user_a\nben,user_b\n1,2\n2,1\n"


@pytest.fixture
def app(redis_database):
    """The app's own Redis client, with what LangChain wrote for its users."""
    with redis.Redis.from_url(redis_database) as client:
        say(client, "ana:s1", "What is tea?", "A leaf.")
        say(client, "ana:s2", "And coffee?")
        say(client, "ben:s3", "Hello.")
        say(client, "1:s4", "I was the first.")
        say(client, "2:s5", "I was the second.")
        yield client


@pytest.fixture
def app_settings(app, redis_database, settings, empty_supabase, tmp_path):
    """The app's settings: a template over the key says whose a session is, and a table what its user has become."""
    (tmp_path / "users.csv").write_text(MOVED)
    return load_settings(
        redis_url=redis_database,
        layout="langchain",
        owners="key:message_store:{user}:*",
        users=f"csv:{tmp_path / 'users.csv'}",
        supabase_url=settings.supabase_url,
        supabase_secret_key=settings.supabase_secret_key,
    )


async def migrated(backends):
    """Copy everything to the new side, and compare."""
    sides, progress = await backends.chat_sides(), backends.progress(Kind.CHAT)
    repair = chat_repairer(sides, progress=progress).run
    copied = await backfill_chat(sides.old, sides.new, progress, repair=repair, options=QUICK)
    compared = await verify_chat(sides.old, sides.new, progress, repair=repair, options=QUICK_VERIFY)
    return copied, compared


async def texts(store, user, session_id):
    return [message.content for message in await store.messages(user, session_id)]


async def sessions_of(store, user):
    return sorted(session.id for session in (await store.list_sessions(user)).items)


async def marked(journal):
    return [mark async for page in journal.walk(until=utc_now(), page=100) for mark in page]


@pytest.mark.parametrize("stage", list(Stage))
async def test_users_with_new_ids_find_their_conversations_and_nobody_elses_at_every_stage(app, app_settings, stage):
    async with Backends(app_settings) as backends:
        _, compared = await migrated(backends)
        assert compared.equal
    async with chatstore.open(app_settings, inline=True, repair=False) as stores:
        stores.chat.stages._client = Flags(stage).client
        for user, owned in {"user_a": ["ana:s1", "ana:s2"], "user_b": ["ben:s3"], "2": ["1:s4"], "1": ["2:s5"]}.items():
            assert await sessions_of(stores.chat, user) == owned
            assert {session.user_id for session in (await stores.chat.list_sessions(user)).items} == {user}
        assert await texts(stores.chat, "user_a", "ana:s1") == ["What is tea?", "A leaf."]
        assert await texts(stores.chat, "2", "1:s4") == ["I was the first."]
        for user, of_another in (("user_b", "ana:s1"), ("1", "1:s4"), ("2", "2:s5")):
            with pytest.raises(NotFoundError):
                await stores.chat.messages(user, of_another)
            with pytest.raises(NotFoundError):
                await stores.chat.append(user, of_another, NewMessage("user", "mine?"))
        await stores.chat.append("user_a", "ana:s1", NewMessage("user", f"At {stage}."))
        begun = await stores.chat.create_session("user_b", session_id="ben:new")
        await stores.chat.append("user_b", begun.id, NewMessage("user", "A new talk."))
        await stores.chat.delete_session("1", "2:s5")
        assert await texts(stores.chat, "user_a", "ana:s1") == ["What is tea?", "A leaf.", f"At {stage}."]
        assert await sessions_of(stores.chat, "user_b") == ["ben:new", "ben:s3"]
        assert await sessions_of(stores.chat, "1") == []
        marks = [mark for side in Side for mark in await marked(stores.chat.sides[side].journal)]
        assert {mark.user_id for mark in marks} <= {"user_a", "user_b", "1", "2"}
        assert (await chat_repairer(stores.chat.sides).run()).quarantined == 0
        assert await texts(stores.chat.sides.new, "user_a", "ana:s1") == ["What is tea?", "A leaf.", f"At {stage}."]
    assert heard(app, "ana:s1") == ["What is tea?", "A leaf.", f"At {stage}."]
    assert heard(app, "ben:new") == ["A new talk."]
    assert heard(app, "2:s5") == []


async def test_the_way_back_gives_each_user_his_old_id_again(app, app_settings):
    keys = sorted(app.keys("message_store:*"))
    async with Backends(app_settings) as backends:
        await migrated(backends)
        app.flushdb()
        sides, progress = await backends.chat_sides(), backends.progress(Kind.CHAT)
        repair = chat_repairer(sides, progress=progress).run
        report = await backfill_chat(sides.new, sides.old, progress, repair=repair, options=QUICK)
        assert report.complete
        assert (await verify_chat(sides.old, sides.new, progress, repair=repair, options=QUICK_VERIFY)).equal
        assert sorted(app.keys("message_store:*")) == keys
        assert heard(app, "ana:s1") == ["What is tea?", "A leaf."]
        assert await sessions_of(sides.old, "2") == ["1:s4"]


async def test_what_nobody_owns_and_whom_nobody_knows_is_quarantined_with_the_reason(app, app_settings):
    app.lpush("message_store:nobodys", *app.lrange("message_store:ben:s3", 0, -1))
    say(app, "eve:s6", "I never was moved.")
    async with Backends(app_settings) as backends:
        copied, _ = await migrated(backends)
        held = [record async for record in backends.progress(Kind.CHAT).quarantined()]
        new = await backends.new_chat()
        assert (await new.count()).sessions == 5
        assert await sessions_of(new, "eve") == []
    assert copied.quarantined == 2
    reasons = {record.key: record.reason for record in held}
    assert set(reasons) == {"message_store:nobodys", "message_store:eve:s6"}
    assert "CHATSTORE_OWNERS" in reasons["message_store:nobodys"]
    assert "'eve'" in reasons["message_store:eve:s6"]
    assert "CHATSTORE_USERS" in reasons["message_store:eve:s6"]


async def test_who_has_no_old_id_is_told_so_and_gets_nothing_of_others(app, app_settings):
    async with chatstore.open(app_settings, repair=False) as stores:
        stores.chat.stages._client = Flags(Stage.OFF).client
        for user in ("ana", "user_c"):
            for call in (
                stores.chat.list_sessions(user),
                stores.chat.messages(user, "ana:s1"),
                stores.chat.create_session(user),
            ):
                with pytest.raises(ConfigurationError, match=f"CHATSTORE_USERS .*{user!r}"):
                    await call
    assert app.exists("message_store:ana:s1")


async def test_a_user_who_came_later_has_his_records_on_the_new_side_and_holds_up_no_other(app, app_settings):
    async with Backends(app_settings) as backends:
        await migrated(backends)
    async with chatstore.open(app_settings, inline=True, repair=False) as stores:
        stores.chat.stages._client = Flags(Stage.LIVE).client
        await stores.chat.create_session("user_c", session_id="cleo:s7")
        await stores.chat.append("user_a", "ana:s1", NewMessage("user", "Still here."))
        report = await chat_repairer(stores.chat.sides).run()
        assert report.quarantined == 1
        assert await sessions_of(stores.chat, "user_c") == ["cleo:s7"]
    assert heard(app, "ana:s1")[-1] == "Still here."
    assert not app.exists("message_store:cleo:s7")


async def test_an_app_may_pass_functions_and_dictionaries(app, app_settings):
    bare = app_settings.model_copy(update={"owners": None, "users": None, "supabase_url": None})
    owners = {"message_store:ana:s1": "ana"}
    async with chatstore.open(bare, owners=owners.get, users={"ana": "user_a"}) as stores:
        assert await sessions_of(stores.chat, "user_a") == ["ana:s1"]
    async with chatstore.open(bare, owners=owners) as stores:
        assert await sessions_of(stores.chat, "ana") == ["ana:s1"]


def test_a_blocking_app_may_too(app, app_settings):
    bare = app_settings.model_copy(update={"owners": None, "users": None, "supabase_url": None})
    with chatstore.open_blocking(bare, owners=lambda key: key.split(":")[1], users={"ben": "user_b"}) as stores:
        assert [session.id for session in stores.chat.list_sessions("user_b").items] == ["ben:s3"]


async def test_a_layout_that_does_not_say_whose_a_session_is_needs_somebody_who_does(app, app_settings):
    silent = app_settings.model_copy(update={"owners": None})
    with pytest.raises(
        ConfigurationError, match=r"(?s)'langchain' does not say whose a session.*CHATSTORE_OWNERS.*key:"
    ):
        async with chatstore.open(silent):
            pass
    async with chatstore.open(silent.model_copy(update={"supabase_url": None})) as stores:
        with pytest.raises(ConfigurationError, match="CHATSTORE_OWNERS"):
            _ = stores.chat


async def test_a_layout_that_says_it_itself_takes_nobody_elses_word(redis_database):
    given = load_settings(redis_url=redis_database, owners="all:ana")
    with pytest.raises(ConfigurationError, match=r"'hash' says itself whose a session is.*CHATSTORE_OWNERS"):
        async with chatstore.open(given):
            pass


@pytest.fixture
def document_settings(app_settings, redis_database, settings, tmp_path):
    """An app whose documents are in the layout `hash`, where each says whose it is by its user's old id."""
    with redis.Redis.from_url(redis_database) as client:
        for name, user in {"d1": "ana", "d2": "ana", "d3": "1", "d4": "2", "d5": "eve"}.items():
            held = {
                "title": name,
                "content": f"text of {name}",
                "userId": user,
                "embedding": "[1,0.5]",
                "metadata": "{}",
            }
            client.hset(
                f"document:{name}", mapping={**held, "createdAt": 1_700_000_000_000, "updatedAt": 1_700_000_000_000}
            )
    return load_settings(
        redis_url=redis_database,
        layout="hash",
        users=app_settings.users,
        chroma_url=settings.chroma_url,
        chroma_database=new_database(settings.chroma_url),
    )


async def documents_of(store, user):
    return sorted(document.id for document in (await store.list_documents(user)).items)


@pytest.mark.parametrize("stage", [Stage.OFF, Stage.DUALWRITE, Stage.LIVE, Stage.COMPLETE])
async def test_users_with_new_ids_find_their_documents_and_nobody_elses(redis_database, document_settings, stage):
    async with Backends(document_settings) as backends:
        sides, progress = await backends.document_sides(), backends.progress(Kind.DOCUMENTS)
        repair = document_repairer(sides, progress=progress).run
        copied = await backfill_documents(sides.old, sides.new, progress, repair=repair, options=QUICK)
        assert [record.key async for record in progress.quarantined()] == ["document:d5"]
        assert copied.quarantined == 1
        await verify_documents(sides.old, sides.new, progress, repair=repair, options=QUICK_VERIFY)
        for side in Side:
            await sides[side].journal.remember(verified_at=utc_now())
    async with chatstore.open(document_settings, inline=True, repair=False) as stores:
        stores.documents.stages._client = Flags(stage).client
        for user, owned in {"user_a": ["d1", "d2"], "user_b": [], "2": ["d3"], "1": ["d4"]}.items():
            assert await documents_of(stores.documents, user) == owned
            assert await stores.documents.count_documents(user) == len(owned)
            matches = await stores.documents.search(user, chatstore.Embedding.of([1, 0.5]))
            assert sorted(match.document.id for match in matches) == owned
        assert (await stores.documents.get("2", "d3")).user_id == "2"
        with pytest.raises(NotFoundError):
            await stores.documents.get("1", "d3")
        new = chatstore.NewDocument("new", id="d6", embedding=chatstore.Embedding.of([0, 1]))
        await stores.documents.upsert("user_b", new)
        assert await stores.documents.delete("1", ["d3", "d4"])
        assert await documents_of(stores.documents, "1") == []
        assert await documents_of(stores.documents, "2") == ["d3"]
        assert (await document_repairer(stores.documents.sides).run()).quarantined == 0
        for side in (stores.documents.sides.old, stores.documents.sides.new):
            assert [await documents_of(side, user) for user in ("user_b", "2", "1")] == [["d6"], ["d3"], []]
    with redis.Redis.from_url(redis_database) as client:
        assert client.hget("document:d6", "userId") == b"ben"
        assert not client.exists("document:d4")


async def test_a_mapping_may_say_whose_a_document_is_that_says_no_owner_itself(redis_database):
    with redis.Redis.from_url(redis_database) as client:
        client.hset("document:ana-1", mapping={"content": "text", "userId": "", "embedding": "[1]", "createdAt": 1})
    given = load_settings(redis_url=redis_database, document_owners="key:document:{user}-*")
    async with chatstore.open(given) as stores:
        assert await documents_of(stores.documents, "ana") == ["ana-1"]


async def test_a_layout_without_documents_leaves_them_to_the_new_side_alone(app_settings, settings):
    name = min(name for name in CHAT_LAYOUTS.keys() - DOCUMENT_LAYOUTS.keys() if not CHAT_LAYOUTS[name].owned)
    chat_only = app_settings.model_copy(update={"layout": name, "owners": "all:ana"})
    async with chatstore.open(chat_only, repair=False) as stores:
        assert isinstance(stores.chat, ChatRouter)
        with pytest.raises(ConfigurationError, match=r"no document store: set REDIS_URL .and a layout with documents"):
            _ = stores.documents
    async with chatstore.open(chat_only.model_copy(update={"chroma_url": SecretStr(settings.chroma_url)})) as stores:
        assert isinstance(stores.chat, ChatRouter)
        assert stores.documents.side is Side.NEW


async def test_a_layout_without_chats_leaves_them_to_the_new_side_alone(app_settings):
    documents_only = app_settings.model_copy(
        update={"layout": "vector-set", "document_index": "texts", "owners": None, "document_owners": "all:ana"}
    )
    async with chatstore.open(documents_only, repair=False) as stores:
        assert stores.chat.side is Side.NEW
        assert stores.documents.side is Side.OLD
    async with Backends(documents_only) as backends:
        with pytest.raises(ConfigurationError, match=r"'vector-set' has no sessions.*CHATSTORE_CHAT_LAYOUT"):
            await backends.chat_sides()


async def test_each_kind_may_have_a_layout_and_a_prefix_of_its_own(redis_database):
    with redis.Redis.from_url(redis_database) as client:
        client.lpush("app:talks:s1", '{"type": "human", "data": {"content": "Hello."}}')
        held = {"content": "text", "userId": "ana", "embedding": "[1]", "createdAt": 1_700_000_000_000}
        client.hset("app:texts:d1", mapping=held)
    given = load_settings(
        redis_url=redis_database,
        chat_layout="langchain",
        chat_prefix="app:talks:",
        owners="all:ana",
        document_layout="hash",
        document_prefix="app:texts:",
    )
    async with chatstore.open(given) as stores:
        assert await texts(stores.chat, "ana", "s1") == ["Hello."]
        assert await sessions_of(stores.chat, "ana") == ["s1"]
        assert await documents_of(stores.documents, "ana") == ["d1"]


async def test_a_field_of_a_document_may_say_whose_it_is(redis_database):
    with redis.Redis.from_url(redis_database) as client:
        for name, held in {"1": {"user_id": "ana"}, "2": {"user_id": "ben"}, "3": {"user_id": ""}, "4": {}}.items():
            client.hset(f"doc:faq:{name}", mapping={"content": name, "content_vector": bytes(8), **held})
    given = load_settings(redis_url=redis_database, document_layout="langchain", document_owners="field:user_id")
    async with Backends(given, users={"ana": "user_a", "ben": "user_b"}) as backends:
        old = await backends.old_documents()
        assert [len(await documents_of(old, user)) for user in ("user_a", "user_b")] == [1, 1]
        bad = [record async for page in old.scan() for record in page.quarantined]
        assert sorted(record.key for record in bad) == ["doc:faq:3", "doc:faq:4"]
        assert all("user_id" in record.reason or "nobody's" in record.reason for record in bad)
