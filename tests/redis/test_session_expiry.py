"""What belongs to a session ends with it, whenever its expiry came."""

from dataclasses import replace
from datetime import timedelta

import redis

from chatstore.models import ChatChange, NewMessage, utc_now
from chatstore.redis import RedisChat, chat_layout, connect


async def test_messages_that_were_there_before_the_expiry_of_their_session_came_get_it_too(redis_database):
    later = utc_now().replace(microsecond=0) + timedelta(hours=1)
    sooner = later - timedelta(minutes=30)
    async with connect(redis_database) as client:
        chat = RedisChat(client, chat_layout("hash"))
        session = await chat.create_session("u")
        [one, two] = await chat.append(
            "u", session.id, [NewMessage("user", "one"), NewMessage("user", "two", expires_at=sooner)]
        )
        expiring = replace(session, expires_at=later, version=session.version + 1_000_000)
        await chat.put([ChatChange(session_id=session.id, user_id="u", session=expiring)])
        assert await chat.messages("u", session.id) == [one, two]
    keys = (f"session:{session.id}", f"message:{one.id}", f"message:{two.id}")
    with redis.Redis.from_url(redis_database) as app:
        assert [app.pexpiretime(key) / 1000 for key in keys] == [at.timestamp() for at in (later, later, sooner)]
