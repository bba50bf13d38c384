"""A user's token serves that user's records and nobody else's: at every stage, on both sides, whatever the app passes."""

import asyncio

import chromadb  # noqa: F401 - on a busy machine that takes as long as a call may
import pytest

import chatstore
from chatstore.backends import Backends
from chatstore.identity import UserToken
from chatstore.interfaces import UserDocuments
from chatstore.migration import (
    BackfillOptions,
    VerifyOptions,
    backfill_chat,
    backfill_documents,
    verify_chat,
    verify_documents,
)
from chatstore.models import Kind, Side, Stage
from chatstore.routing import chat_repairer, document_repairer
from chatstore.settings import load_settings
from tests.conformance.factories.chroma import new_database
from tests.flags import Flags
from tests.identity.issuer import APP, private_key
from tests.identity.third_party import SERVICE, trusting

QUICK = BackfillOptions(batch=50, settle_seconds=0)
QUICK_VERIFY = VerifyOptions(batch=50, wait=0.05)
OF_APPS = {
    "chatstore_write",
    "chatstore_session",
    "chatstore_sessions",
    "chatstore_messages",
    "chatstore_last_messages",
    "chatstore_count_messages",
}
NOBODYS = {"chatstore_version"}
"""What is asked before the first call, by whoever makes it."""
EAST, NORTH = chatstore.Embedding.of([1, 0]), chatstore.Embedding.of([0, 1])


@pytest.fixture
def project(issuer, settings, empty_supabase):
    with trusting(issuer, settings) as project:
        yield project


@pytest.fixture
def users(namespace):
    """Two users: their ids in the old app, and those that Clerk has given them."""
    return {f"{namespace}-17": f"user_{namespace}a", f"{namespace}-18": f"user_{namespace}b"}


@pytest.fixture
def table(users, tmp_path):
    """The same as a file."""
    path = tmp_path / "users.csv"
    path.write_text("".join(f"{old},{new}\n" for old, new in {"old": "new", **users}.items()))
    return path


@pytest.fixture
def app_settings(issuer, project, settings, redis_database, table):
    return load_settings(
        redis_url=redis_database,
        users=f"csv:{table}",
        supabase_url=project.url,
        supabase_secret_key=settings.supabase_secret_key,
        supabase_publishable_key=settings.supabase_publishable_key,
        chroma_url=settings.chroma_url,
        chroma_database=new_database(settings.chroma_url),
        collections="one",
        token_issuer=issuer.url,
        token_parties=APP,
    )


@pytest.fixture
async def old_app(redis_database, users):
    """What the old app wrote, for each user: a conversation and a document, by his old id."""
    async with chatstore.open(load_settings(redis_url=redis_database)) as stores:
        for user in users:
            session = await stores.chat.create_session(user, session_id=f"s-{user}", title=f"of {user}")
            await stores.chat.append(user, session.id, chatstore.NewMessage("user", f"secret of {user}"))
            await stores.documents.upsert(
                user, chatstore.NewDocument(f"text of {user}", id=f"d-{user}", metadata={"of": user}, embedding=EAST)
            )


async def migrate(app_settings):
    async with Backends(app_settings) as backends:
        chats, documents = await backends.chat_sides(), await backends.document_sides()
        for sides, progress, repairer, backfill, verify in (
            (chats, backends.progress(Kind.CHAT), chat_repairer, backfill_chat, verify_chat),
            (documents, backends.progress(Kind.DOCUMENTS), document_repairer, backfill_documents, verify_documents),
        ):
            repair = repairer(sides, progress=progress).run
            await backfill(sides.old, sides.new, progress, repair=repair, options=QUICK)
            assert (await verify(sides.old, sides.new, progress, repair=repair, options=QUICK_VERIFY)).equal


def at(stores, stage):
    flags = Flags(stage)
    for store in (stores.chat, stores.documents):
        store.stages._client = flags.client


async def compared(stores):
    """Wait for the shadow reads, and return how many found what they should not."""
    for store in (stores.chat, stores.documents):
        await store.shadow.drain()
    counts = (stores.chat.shadow.counts, stores.documents.shadow.counts)
    return sum(count.mismatched + count.failed for count in counts)


async def nothing_of(theirs, session_id, document_id):
    """Try everything with another's ids."""
    message = chatstore.NewMessage("user", "mine?")
    for attempt in (
        theirs.chat.get_session(session_id),
        theirs.chat.messages(session_id),
        theirs.chat.last_messages(session_id, 9),
        theirs.chat.count_messages(session_id),
        theirs.chat.append(session_id, message),
        theirs.chat.replace_messages(session_id, [message]),
        theirs.chat.edit_message(session_id, "m", content="mine"),
        theirs.chat.pop_message(session_id),
        theirs.chat.delete_messages(session_id, ["m"]),
        theirs.chat.clear_messages(session_id),
        theirs.chat.update_session(session_id, title="mine"),
        theirs.documents.get(document_id),
    ):
        with pytest.raises(chatstore.NotFoundError):
            await attempt
    with pytest.raises(chatstore.ConflictError):
        await theirs.chat.create_session(session_id=session_id)
    assert not await theirs.chat.delete_session(session_id)
    assert session_id not in [session.id for session in (await theirs.chat.list_sessions()).items]
    assert await theirs.documents.delete([document_id]) == 0
    assert document_id not in [document.id for document in (await theirs.documents.list_documents()).items]


@pytest.mark.usefixtures("old_app")
async def test_users_see_their_conversations_and_nobody_elses_from_off_to_complete(
    issuer, project, app_settings, users, settings
):
    await migrate(app_settings)
    (old_ann, ann_id), (old_ben, ben_id) = users.items()
    said = [f"secret of {old_ann}"]
    async with chatstore.open(app_settings, inline=True, repair=False) as stores:
        for stage in Stage:
            at(stores, stage)
            project.asked.clear()
            # Each request brings a token of its own.
            ann = await stores.for_user(issuer.token(ann_id, jti=stage))
            ben = await stores.for_user(issuer.token(ben_id, jti=stage))
            [session] = (await ann.chat.list_sessions()).items
            assert (session.id, session.user_id, session.title) == (f"s-{old_ann}", ann_id, f"of {old_ann}")
            await ann.chat.append(session.id, chatstore.NewMessage("user", f"at {stage}"))
            said.append(f"at {stage}")
            assert [message.content for message in await ann.chat.messages(session.id)] == said
            assert [message.content for message in await ann.chat.last_messages(session.id, 1)] == said[-1:]
            [match] = await ann.documents.search(EAST, k=9)
            assert (match.document.id, match.document.user_id) == (f"d-{old_ann}", ann_id)
            await nothing_of(ben, session.id, f"d-{old_ann}")
            [other] = (await ben.chat.list_sessions()).items
            assert other.id == f"s-{old_ben}"
            assert await compared(stores) == 0
            by_whom = {who for function, who in project.asked if function in OF_APPS}
            assert by_whom == (set() if stage in (Stage.OFF, Stage.DUALWRITE) else {ann_id, ben_id})
            assert {f for f, who in project.asked if who != SERVICE} <= OF_APPS | NOBODYS
        assert project.keys == {settings.supabase_publishable_key}
        assert [m.content for m in await stores.chat.sides.new.messages(ann_id, session.id)] == said


FILTERS = [
    {"of": {"$ne": "nobody"}},
    {"$or": [{"of": {"$ne": "a"}}, {"of": {"$ne": "b"}}]},
    {"$and": [{"title": {"$ne": "x"}}, {"$or": [{"of": {"$nin": ["x"]}}, {"title": ""}]}]},
    {"user_id": {"$ne": "x"}},
    {"userId": {"$ne": "x"}},
]


@pytest.mark.usefixtures("old_app")
@pytest.mark.parametrize("plan", ["user", "shards", "one"])
async def test_no_filter_leads_a_search_out_of_the_users_own_documents(issuer, app_settings, users, plan):
    app_settings = app_settings.model_copy(update={"collections": plan})
    async with chatstore.open(app_settings, inline=True, repair=False) as stores:
        for side in Side:
            await stores.documents.sides[side].journal.forget_state()
        at(stores, Stage.DUALWRITE)
        ids = list(users.values())
        for user in ids:
            mine = await stores.for_user(issuer.token(user))
            await mine.documents.upsert(chatstore.NewDocument("new", metadata={"of": user}, embedding=NORTH))
        for side in Side:
            # As the view does, which names the user itself: to each side in turn.
            one = UserDocuments(stores.documents.sides[side], UserToken.verified_elsewhere(issuer.token(ids[0])))
            for where in (None, *FILTERS, {"of": {"$in": ids}}, {"of": {"$eq": ids[1]}}):
                found = await one.search(NORTH, k=99, where=where)
                assert {match.document.user_id for match in found} <= {ids[0]}
                assert found or where is not None


@pytest.mark.usefixtures("old_app")
async def test_no_argument_names_another_user(issuer, app_settings, users):
    ann_id, ben_id = users.values()
    async with chatstore.open(app_settings, repair=False) as stores:
        at(stores, Stage.OFF)
        ann = await stores.for_user(issuer.token(ann_id))
        assert ann.user_id == ann_id
        for call in (ann.chat.list_sessions, ann.documents.list_documents, ann.documents.count_documents):
            with pytest.raises(TypeError):
                await call(user_id=ben_id)
        for name in ("write", "sides", "close", "search_by_embedding", "for_user"):
            assert not hasattr(ann.chat, name)
            assert not hasattr(ann.documents, name)


async def test_a_token_that_is_not_taken_opens_nothing(issuer, app_settings, settings):
    async with chatstore.open(app_settings, repair=False) as stores:
        for refused in (
            issuer.token("ann", exp=1),
            issuer.token("ann", role="service_role"),
            settings.supabase_secret_key,
            settings.supabase_publishable_key,
            "",
        ):
            with pytest.raises(chatstore.TokenRefusedError):
                await stores.for_user(refused)


async def test_a_users_stores_end_with_the_token(issuer, app_settings, users, monkeypatch):
    [ann_id, _] = users.values()
    async with chatstore.open(app_settings, repair=False) as stores:
        at(stores, Stage.OFF)
        ann = await stores.for_user(issuer.token(ann_id))
        assert (await ann.chat.list_sessions()).items == ()
        later = ann.token.expires_at
        monkeypatch.setattr("chatstore.identity.user_token.utc_now", lambda: later)
        for call in (ann.chat.list_sessions(), ann.documents.count_documents(), stores.for_user(ann.token)):
            with pytest.raises(chatstore.TokenRefusedError, match="expired"):
                await call


async def test_a_project_that_does_not_trust_the_issuer_says_so(issuer, app_settings, users, project):
    [ann_id, _] = users.values()
    async with chatstore.open(app_settings.model_copy(update={"redis_url": None}), repair=False) as stores:
        # The signature is another key's, which an app that verifies by itself did not notice.
        forged = UserToken.verified_elsewhere(issuer.token(ann_id, key=private_key("another")))
        with pytest.raises(chatstore.TokenRefusedError, match="Third-Party Auth"):
            await (await stores.for_user(forged)).chat.list_sessions()
    assert all(who == SERVICE for _, who in project.asked)


async def test_a_text_is_no_user_where_nothing_says_who_signs_tokens(issuer, app_settings):
    async with chatstore.open(app_settings.model_copy(update={"token_issuer": None}), repair=False) as stores:
        with pytest.raises(chatstore.ConfigurationError, match="CHATSTORE_TOKEN_ISSUER"):
            await stores.for_user(issuer.token("ann"))
        token = UserToken.verified_elsewhere(issuer.token("ann"))
        assert (await stores.for_user(token)).user_id == "ann"


@pytest.mark.usefixtures("old_app")
async def test_blocking_callers_have_the_same(issuer, app_settings, users):
    (old_ann, ann_id), (_, ben_id) = users.items()

    def as_flask_does():
        with chatstore.open_blocking(app_settings) as stores:
            ann, ben = (stores.for_user(issuer.token(user)) for user in (ann_id, ben_id))
            assert (ann.user_id, ben.user_id) == (ann_id, ben_id)
            ann.chat.append(f"s-{old_ann}", chatstore.NewMessage("user", "blocking"))
            assert [m.content for m in ann.chat.messages(f"s-{old_ann}")] == [f"secret of {old_ann}", "blocking"]
            with pytest.raises(chatstore.NotFoundError):
                ben.chat.messages(f"s-{old_ann}")
            assert [match.document.id for match in ann.documents.search(EAST)] == [f"d-{old_ann}"]
            stores.close()  # and a later call opens them anew
            assert ann.chat.count_messages(f"s-{old_ann}") == 2
            with pytest.raises(chatstore.TokenRefusedError):
                stores.for_user("hello")

    await asyncio.to_thread(as_flask_does)
