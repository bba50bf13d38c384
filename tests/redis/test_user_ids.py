"""User ids are the old ones in Redis and those that the app uses now everywhere else: in records, marks and errors."""

import pytest

from chatstore.errors import ConfigurationError, ConflictError
from chatstore.models import AppendMessages, CreateSession, Mark, NewMessage, Side
from chatstore.ownership import MappedUsers
from chatstore.redis import RedisChat, chat_layout
from chatstore.testing import MemoryChat

USERS = MappedUsers({"ann": "user_a", "1": "2", "2": "1"})


@pytest.fixture
async def mapped(client):
    store = RedisChat(client, chat_layout("hash"), users=USERS)
    yield store
    await store.close()


async def scanned(store):
    pages = [page async for page in store.scan()]
    changes = {change.session_id: change for page in pages for change in page.changes}
    return changes, {record.key: record.reason for page in pages for record in page.quarantined}


async def test_records_have_the_ids_that_the_app_uses_now_and_redis_keeps_its_own(client, app, mapped):
    await app.conversation("theirs", 2, user="ann")
    assert (await mapped.get_session("user_a", "theirs")).user_id == "user_a"
    assert {message.user_id for message in await mapped.messages("user_a", "theirs")} == {"user_a"}
    await mapped.write(CreateSession(user_id="user_a", session_id="ours"))
    assert await client.hget("session:ours", "userId") == b"ann"
    assert [session.id for session in (await mapped.list_sessions("user_a")).items] == ["ours", "theirs"]
    changes, bad = await scanned(mapped)
    assert {change.user_id for change in changes.values()} == {"user_a"}
    assert {change.session.user_id for change in changes.values()} == {"user_a"}
    assert bad == {}


async def test_users_who_swapped_their_ids_see_their_own_and_take_nothing_out_of_each_others_lists(app, mapped):
    await app.session("of 1", user="1")
    await app.session("of 2", user="2")
    for _ in range(2):
        assert [session.id for session in (await mapped.list_sessions("2")).items] == ["of 1"]
        assert [session.id for session in (await mapped.list_sessions("1")).items] == ["of 2"]


async def test_what_is_gone_leaves_the_list_of_the_user_in_redis_whose_it_was(client, app, mapped):
    await app.session("of 1", user="1")
    assert [session.id for session in (await mapped.list_sessions("2")).items] == ["of 1"]
    indexes = [key async for key in client.scan_iter(match="chatstore:*", _type="zset")]
    assert [await client.zcard(key) for key in indexes] == [1]
    await client.delete("session:of 1")
    assert (await mapped.list_sessions("2")).items == ()
    assert not await client.exists(*indexes)


async def test_a_mark_names_the_id_that_the_app_uses_now(app, mapped):
    await mapped.journal.remember(journal_open=True)
    mark = Mark(key="ours", user_id="user_a", side=Side.OLD, op="create")
    await mapped.write(CreateSession(user_id="user_a", session_id="ours"), mark)
    [held] = await mapped.journal.marks_of("user_a")
    assert (held.user_id, held.key) == ("user_a", "ours")
    assert await mapped.journal.marks_of("ann") == []


async def test_a_record_whose_user_has_become_nobody_is_quarantined_and_named(app, mapped):
    await app.conversation("eves", 2, user="eve")
    await app.session("anns", user="ann")
    changes, bad = await scanned(mapped)
    assert set(changes) == {"anns"}
    assert bad == {"session:eves": "CHATSTORE_USERS does not say what the user 'eve' has become"}


async def test_a_session_that_is_not_there_is_nobodys_and_no_mistake(mapped):
    assert [page async for page in mapped.fetch(["lost", "lost too"])] == []


async def test_a_user_without_an_old_id_is_told_what_to_do(mapped, app):
    await app.session("eves", user="eve")
    for call in (
        mapped.list_sessions("eve"),
        mapped.get_session("eve", "eves"),
        mapped.write(CreateSession(user_id="eve", session_id="new")),
        mapped.write(AppendMessages(user_id="eve", session_id="eves", messages=(NewMessage("user", "hi"),))),
    ):
        with pytest.raises(ConfigurationError, match=r"CHATSTORE_USERS says no old id of the user 'eve'.*\*,\*"):
            await call


async def test_a_record_of_such_a_user_is_refused_alone_when_the_other_side_brings_it(client, mapped):
    new = MemoryChat(Side.NEW)
    eves = (await new.write(CreateSession(user_id="eve", session_id="eves"))).change
    anns = (await new.write(CreateSession(user_id="user_a", session_id="anns"))).change
    with pytest.raises(ConflictError, match="'eve'"):
        await mapped.put([eves])
    await mapped.put([anns])
    assert await client.hget("session:anns", "userId") == b"ann"
    assert not await client.exists("session:eves")
