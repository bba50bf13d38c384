"""The walk of a migration over the layout `hash`: ids without content, and the messages that no session lists."""

from chatstore.models import ChatCount


async def walked(chat, cursor=None):
    return [page async for page in chat.keys(cursor)]


def quarantined(pages):
    return sorted((record.key, record.reason) for page in pages for record in page.quarantined)


async def test_every_session_is_told_once_by_its_id(app, chat):
    for number in range(300):
        await app.session(f"s{number}")
    pages = await walked(chat)
    names = [name for page in pages for name in page.keys]
    assert sorted(names) == sorted(f"s{number}" for number in range(300))
    assert (pages[-1].cursor, quarantined(pages)) == (None, [])


async def test_an_id_that_is_no_text_is_quarantined_and_hides_no_other(app, client, chat):
    await app.session("s")
    await client.hset(b"session:\xff", mapping={"userId": "ann", "createdAt": "1", "messageIds": "[]"})
    pages = await walked(chat)
    assert [name for page in pages for name in page.keys] == ["s"]
    assert quarantined(pages) == [("session:\\xff", "the session's id is not UTF-8")]


async def test_where_every_message_is_listed_none_is_looked_at(app, client, chat):
    await app.conversation("s", 30)
    await app.session("dangling", ids=["nowhere", "nowhere"])
    await client.config_resetstat()
    pages = await walked(chat)
    assert [page.cursor for page in pages] == ["messages:0", None]
    # The listings of two sessions, and of the three ids those messages that may not be there.
    stats = await client.info("commandstats")
    assert stats["cmdstat_hget"]["calls"] == 2
    assert "cmdstat_hgetall" not in stats


async def test_a_message_that_no_session_lists_is_quarantined(app, chat):
    await app.conversation("s", 3)
    await app.message("lost", "s")
    assert quarantined(await walked(chat)) == [("message:lost", "no session lists this message")]


async def test_one_that_is_listed_twice_does_not_make_up_for_one_that_is_not_listed(app, chat):
    [shared] = await app.conversation("s", 1)
    await app.session("t", ids=[shared])
    await app.message("lost", "s")
    assert quarantined(await walked(chat)) == [("message:lost", "no session lists this message")]


async def test_a_walk_that_goes_on_among_the_messages_finds_those_that_are_lost(app, chat):
    await app.conversation("s", 3)
    await app.message("lost", "s")
    first, *_ = await walked(chat)
    assert quarantined(await walked(chat, first.cursor)) == [("message:lost", "no session lists this message")]


async def test_on_one_server_there_is_one_walk(chat):
    assert await chat.starts() == [None]


async def test_an_estimate_looks_at_some_sessions_and_counts_all(app, client, chat, monkeypatch):
    for number in range(1200):
        await app.session(f"s{number}", ids=[])
    await app.conversation("long", 9)
    monkeypatch.setattr("chatstore.redis.chat._SAMPLE", 1)
    await client.config_resetstat()
    about = await chat.estimate()
    looked_at = (await client.info("commandstats"))["cmdstat_hgetall"]["calls"]
    assert 0 < looked_at < 1201
    assert about.sessions == 1201
    assert about.messages in {0, round(9 * 1201 / looked_at)}  # the long one is among those that were looked at, or not
    monkeypatch.setattr("chatstore.redis.chat._SAMPLE", 5000)
    assert await chat.estimate() == await chat.count() == ChatCount(1201, 9)
