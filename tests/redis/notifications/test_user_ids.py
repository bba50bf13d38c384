"""What another program writes is marked with the user id that the app uses now, not with that in Redis."""

from functools import partial

from chatstore.ownership import MappedUsers
from chatstore.redis import chat_layout, document_layout, foreign_documents, foreign_sessions
from tests.redis.notifications.watching import watching

USERS = MappedUsers({"ann": "user_a", "1": "2", "2": "1"})


async def test_a_session_is_marked_with_that_id_and_what_is_nobodys_is_not(client, app):
    async with watching(partial(foreign_sessions, users=USERS), client, chat_layout("hash")) as watched:
        await app.session("eves", user="eve")
        await app.session("anns", user="ann")
        await app.session("of 1", user="1")
        assert {await watched.next(), await watched.next()} == {("user_a", "anns"), ("2", "of 1")}
        assert watched.none_is_left


async def test_a_document_is_marked_with_that_id_and_what_is_nobodys_is_not(client, app):
    async with watching(partial(foreign_documents, users=USERS), client, document_layout("hash")) as watched:
        await app.document("eves", user="eve")
        await app.document("anns", user="ann")
        await app.document("of 1", user="1")
        assert {await watched.next(), await watched.next()} == {("user_a", "anns"), ("2", "of 1")}
        assert watched.none_is_left
