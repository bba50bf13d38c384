"""Ids: what can name nothing is refused before any server is asked, and any other text names just itself."""

import asyncio
import hashlib
import secrets
from dataclasses import dataclass

import pytest

from chatstore.errors import InvalidRecordError, NotFoundError
from chatstore.interfaces import DocumentStore
from chatstore.models import Embedding, NewDocument, NewMessage

EAST = Embedding.of([1, 0])
MEGABYTES = "x" * 10_000_000

NO_IDS = {
    "empty": ("", "is empty"),
    "10 MB": (MEGABYTES, "10000000 bytes"),
    "1,025 bytes": ("x" * 1025, "1025 bytes"),
    "1,026 bytes in 513 letters": ("é" * 513, "1026 bytes"),
    "a lone surrogate": ("a\ud800", "lone surrogate at character 1"),
    "half a pair, reversed": ("\udca9\ud83d", "lone surrogate at character 0"),
    "None": (None, "type NoneType"),
    "a number": (1, "type int"),
    "True": (True, "type bool"),
    "bytes": (b"a", "type bytes"),
    "a list": (["a"], "type list"),
    "a dictionary, as of a query parser": ({"$ne": ""}, "type dict"),
}
CHAT_CALLS = {
    "get_session of a user": lambda chat, it: chat.get_session(it, "s"),
    "get_session": lambda chat, it: chat.get_session("u", it),
    "list_sessions": lambda chat, it: chat.list_sessions(it),
    "messages of a user": lambda chat, it: chat.messages(it, "s"),
    "messages": lambda chat, it: chat.messages("u", it),
    "last_messages": lambda chat, it: chat.last_messages("u", it, 5),
    "count_messages": lambda chat, it: chat.count_messages("u", it),
    "create_session of a user": lambda chat, it: chat.create_session(it),
    "update_session": lambda chat, it: chat.update_session("u", it, title="x"),
    "delete_session": lambda chat, it: chat.delete_session("u", it),
    "append": lambda chat, it: chat.append("u", it, NewMessage("user", "x")),
    "append under a message id": lambda chat, it: chat.append("u", "s", NewMessage("user", "x", id=it)),
    "append in a role": lambda chat, it: chat.append("u", "s", NewMessage(it, "x")),
    "edit_message": lambda chat, it: chat.edit_message("u", "s", it, content="x"),
    "delete_messages": lambda chat, it: chat.delete_messages("u", "s", ["m", it]),
    "pop_message": lambda chat, it: chat.pop_message(it, "s"),
    "clear_messages": lambda chat, it: chat.clear_messages("u", it),
    "replace_messages": lambda chat, it: chat.replace_messages(it, "s", [NewMessage("user", "x")]),
}
DOCUMENT_CALLS = {
    "get of a user": lambda documents, it: documents.get(it, "d"),
    "get": lambda documents, it: documents.get("u", it),
    "get_many of a user": lambda documents, it: documents.get_many(it, ["d"]),
    "get_many": lambda documents, it: documents.get_many("u", ["d", it]),
    "list_documents": lambda documents, it: documents.list_documents(it),
    "count_documents": lambda documents, it: documents.count_documents(it),
    "search": lambda documents, it: documents.search(it, EAST),
    "upsert of a user": lambda documents, it: documents.upsert(it, NewDocument("x", embedding=EAST)),
    "upsert": lambda documents, it: documents.upsert("u", NewDocument("x", id=it, embedding=EAST)),
    "delete of a user": lambda documents, it: documents.delete(it, ["d"]),
    "delete": lambda documents, it: documents.delete("u", ["d", it]),
}

# Each pair of them must stay two.
NAMES = {
    "a pattern of all": "*",
    "a pattern of one letter": "?",
    "a pattern of a class": "[a-z]",
    "an escaped pattern": "\\*",
    "a letter that patterns match": "a",
    "a colon": "a:b",
    "a name with our own ending": "a:messages",
    "a hash tag": "{tag}",
    "an empty hash tag": "{}",
    "a tag that does not end": "{tag",
    "CR and LF": "a\r\nDEL session:a\r\n",
    "CR": "a\r",
    "NUL": "a\0",
    "an accented letter, composed": "\u00e9",
    "an accented letter, decomposed": "e\u0301",
    "the parent folder": "../a",
    "a folder": "a/b",
    "percent": "%",
    "an encoded slash": "a%2Fb",
    "the text null": "null",
    "the text None": "None",
    "a digit": "1",
    "a digit with zeros": "01",
    "a quoted digit": '"1"',
    "a quote": "'",
    "SQL": "'); drop table public.sessions; --",
    "a dollar quote": "$$",
    "PostgREST's or": "a),or(user_id.neq.a",
    "a URL's query": "a?select=*&b=1",
    "a URL's fragment": "a#b",
    "PostgREST's in": 'a","b',
    "a filter": '{"$ne": 1}',
    "an operator": "$ne",
    "a space": " ",
    "a trailing space": "a ",
    "capitals": "A",
    "a right-to-left mark": "a\u200f",
    "what a full stop looks like": "\uff0e\uff0e",
    "what our escape begins with": "\ufdd0",
    "what our escape of NUL looks like": "a\ufdd00000",
    "an emoji with its modifiers": "\U0001f469\u200d\U0001f692",
    "1,024 bytes": "x" * 1024,
    "a format of Python": "{0.__class__}",
    "a template": "${jndi:ldap://localhost/a}",
    "a dunder": "__proto__",
}


@pytest.mark.parametrize("call", CHAT_CALLS.values(), ids=CHAT_CALLS)
async def test_no_chat_call_takes_what_is_no_id(chat, call):
    await check_that_none_is_taken(chat, call)


@pytest.mark.parametrize("call", DOCUMENT_CALLS.values(), ids=DOCUMENT_CALLS)
async def test_no_document_call_takes_what_is_no_id(documents, call):
    await check_that_none_is_taken(documents, call)


async def check_that_none_is_taken(store, call):
    for no_id, says in NO_IDS.values():
        with pytest.raises(InvalidRecordError, match=says) as caught:
            await call(store, no_id)
        assert len(str(caught.value)) < 200


async def test_a_session_that_is_there_is_not_there_for_nobody(chat, namespace):
    session = await chat.create_session(namespace)
    for nobody in (None, "", 0, False, [], {}):
        with pytest.raises(InvalidRecordError):
            await chat.get_session(nobody, session.id)


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
async def test_a_session_and_a_message_of_any_name_come_back_and_go_alone(chats, both, namespace, name):
    chat = chats["router"]
    user, own = f"{namespace}{name}"[:1024], f"{namespace}{name}"[-1024:]
    await chat.create_session(user, session_id=namespace)
    session = await chat.create_session(user, session_id=user, title=name)
    assert (session.id, session.user_id, session.title) == (user, user, name)
    await chat.append(user, namespace, [NewMessage("user", name, id=one) for one in (namespace, own)])
    assert await both(chat, lambda side: side.messages(user, namespace))
    with pytest.raises(NotFoundError):
        await chat.get_session(namespace, user)
    assert (await chat.list_sessions(namespace)).items == ()
    assert await chat.delete_messages(user, namespace, [own]) == 1
    assert [(message.id, message.content) for message in await chat.messages(user, namespace)] == [(namespace, name)]
    assert await chat.delete_session(user, user)
    assert [one.id for one in (await chat.list_sessions(user)).items] == [namespace]
    assert await both(chat, lambda side: side.get_session(user, namespace))


@dataclass
class Named:
    """Documents of each name, in one store.

    Attributes:
        user: Who has one under each id.
        ids: Those that this user still has.
        others: A user of each name, who has one document, whose id is `its_id` of theirs.
    """

    documents: DocumentStore
    user: str
    ids: set[str]
    others: dict[str, str]


def its_id(user):
    return hashlib.sha256(user.encode()).hexdigest()


@pytest.fixture(scope="module", params=["chroma-shared", "router"])
async def named(request, document_stores):
    """Documents whose ids, or whose users' ids, are the names; all are written at once, as each alone takes long."""
    documents, user = document_stores[request.param], f"t{secrets.token_hex(6)}"
    ids = {f"{user}{name}"[-1024:]: name for name in NAMES.values()}
    await documents.upsert(user, [NewDocument(name, id=own, embedding=EAST) for own, name in ids.items()])
    others = {name: f"{user}{name}"[:1024] for name in NAMES.values()}
    await asyncio.gather(
        *(
            documents.upsert(other, NewDocument(name, id=its_id(other), embedding=EAST))
            for name, other in others.items()
        )
    )
    return Named(documents, user, set(ids), others)


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
async def test_a_document_of_any_name_comes_back_and_goes_alone(named, both, name):
    documents, user, own = named.documents, named.user, f"{named.user}{name}"[-1024:]
    found = await documents.get(user, own)
    assert (found.id, found.user_id, found.text) == (own, user, name)
    assert await both(documents, lambda side: side.get(user, own))
    with pytest.raises(NotFoundError):
        await documents.get(named.others[name], own)
    assert await documents.delete(user, [own]) == 1
    named.ids.remove(own)
    assert await documents.count_documents(user) == len(named.ids)


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
async def test_a_user_of_any_name_has_just_their_own_document(named, both, name):
    documents, user = named.documents, named.others[name]
    [match] = await documents.search(user, EAST)
    assert (match.document.user_id, match.document.text) == (user, name)
    assert await documents.count_documents(user) == 1
    assert await both(documents, lambda side: side.get(user, its_id(user)))


async def test_all_names_together_name_as_many_sessions(chat, namespace):
    names = sorted(f"{namespace}{name}"[:1024] for name in NAMES.values())
    for name in names:
        await chat.create_session(namespace, session_id=name)
    listed = (await chat.list_sessions(namespace, limit=1000)).items
    assert sorted(session.id for session in listed) == names


async def test_all_names_together_name_as_many_documents(documents, namespace):
    names = sorted(f"{namespace}{name}"[:1024] for name in NAMES.values())
    await documents.upsert(namespace, [NewDocument(name, id=name, embedding=EAST) for name in names])
    listed = (await documents.list_documents(namespace, limit=1000)).items
    assert sorted(document.id for document in listed) == names
    assert sorted(document.text for document in listed) == names
    assert [document.text for document in await documents.get_many(namespace, names[::-1])] == names[::-1]
