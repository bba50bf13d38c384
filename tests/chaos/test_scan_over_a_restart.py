"""A scan that is taken up after Redis was started again misses nothing: found by the storm, where a migrator's
checkpoint lay in an order of the keys that the server no longer had.
"""

from redis import Redis

from chatstore.redis import RedisChat, RedisDocuments, chat_layout, connect, document_layout

RECORDS = 3000


def fill(url):
    with Redis.from_url(url) as redis, redis.pipeline() as pipeline:
        for number in range(RECORDS):
            pipeline.hset(f"session:{number}", mapping={"userId": "u", "createdAt": "1", "messageIds": "[]"})
            fields = {"userId": "u", "content": "text", "embedding": "[1]", "createdAt": "1", "updatedAt": "1"}
            pipeline.hset(f"document:{number}", mapping=fields)
        pipeline.execute()


async def first_part(side):
    """Return what a scan yields until it may go on elsewhere, and where."""
    changes = []
    async for page in side.scan():
        changes += page.changes
        if page.cursor is not None:
            return changes, page.cursor
    raise AssertionError("the scan has one part only")


async def test_what_was_scanned_before_and_after_a_restart_is_all_there_is(durable_stack):
    url = durable_stack.redis.url
    fill(url)
    client = connect(url)
    for side, found in (
        (RedisChat(client, chat_layout("hash")), lambda change: change.session_id),
        (RedisDocuments(client, document_layout("hash")), lambda change: change.key.id),
    ):
        first, cursor = await first_part(side)
        assert 0 < len(first) < RECORDS
        durable_stack.redis.kill()
        durable_stack.redis.start()
        await client.connection_pool.disconnect()
        names = {found(change) for change in first}
        async for page in side.scan(cursor):
            names |= {found(change) for change in page.changes}
        assert len(names) == RECORDS
    await client.aclose()
