"""The API: conversations, a turn of one, and that nobody sees what is another's."""

import json

import httpx
import pytest

from chatstore.models import new_id

TEA = "Green tea is steamed soon after it was picked. Oolong is half oxidised. Black tea is oxidised whole."


async def say(http, session_id, content):
    """What happens in a turn, one dictionary an event."""
    async with http.stream("POST", f"/api/sessions/{session_id}/messages", json={"content": content}) as answer:
        assert answer.status_code == 200, await answer.aread()
        return [json.loads(line) async for line in answer.aiter_lines()]


async def test_a_conversation_of_the_old_app_goes_on(site, old_app):
    await old_app.conversation("s1", "ann", "An order", "Where is my order?", "It left us this morning.")
    await old_app.document("d1", "ann", "Tea", TEA)
    async with site.as_user("ann") as http:
        sessions = (await http.get("/api/sessions")).json()
        assert [(session["id"], session["title"]) for session in sessions["items"]] == [("s1", "An order")]
        events = await say(http, "s1", "How is green tea made?")
        said = (await http.get("/api/sessions/s1/messages")).json()["items"]
    assert [next(iter(event)) for event in events] == ["said", "sources", *["token"] * (len(events) - 3), "answer"]
    assert events[1]["sources"][0]["title"] == "Tea"
    answer = events[-1]["answer"]
    assert "".join(event["token"] for event in events[2:-1]) == answer["content"]
    assert answer["content"] == "Green tea is steamed soon after it was picked.\n\nFrom Tea."
    assert [(message["role"], message["content"]) for message in said] == [
        ("user", "Where is my order?"),
        ("assistant", "It left us this morning."),
        ("user", "How is green tea made?"),
        ("assistant", answer["content"]),
    ]
    assert said[-1]["metadata"]["sources"][0]["id"] == "d1"


async def test_a_new_conversation_is_called_by_the_first_thing_that_is_said_in_it(site):
    async with site.as_user("ann") as http:
        session = (await http.post("/api/sessions", json={})).json()
        await say(http, session["id"], "What is known of tea?")
        [there] = (await http.get("/api/sessions")).json()["items"]
        assert there["title"] == "What is known of tea?"
        renamed = await http.patch(f"/api/sessions/{session['id']}", json={"title": "Tea"})
        assert renamed.json()["title"] == "Tea"
        assert (await http.delete(f"/api/sessions/{session['id']}")).status_code == 204
        assert (await http.get("/api/sessions")).json()["items"] == []


async def test_earlier_messages_come_page_by_page(site, old_app):
    await old_app.conversation("s1", "ann", "Long", *map(str, range(120)))
    async with site.as_user("ann") as http:
        seen, before, earlier = [], {}, True
        while earlier:
            page = (await http.get("/api/sessions/s1/messages", params=before)).json()
            seen = [message["content"] for message in page["items"]] + seen
            first, earlier = page["items"][0], page["earlier"]
            before = {"before_position": first["position"], "before_id": first["id"]}
    assert seen == list(map(str, range(120)))


async def test_an_id_of_the_old_app_may_be_any_text(site, old_app):
    await old_app.conversation("shop/42?x=1#é", "ann", "Odd", "Hello")
    async with site.as_user("ann") as http:
        said = await http.get("/api/sessions/shop%2F42%3Fx%3D1%23%C3%A9/messages")
        assert [message["content"] for message in said.json()["items"]] == ["Hello"]


async def test_nobody_sees_or_touches_what_is_anothers(site, old_app):
    await old_app.conversation("s1", "ann", "Ann's", "Ann's secret")
    await old_app.document("d1", "ann", "Ann's", "Ann's secret of tea")
    async with site.as_user("ben") as http:
        assert (await http.get("/api/sessions")).json()["items"] == []
        assert (await http.get("/api/documents")).json()["items"] == []
        assert (await http.get("/api/search", params={"q": "secret of tea"})).json() == []
        assert (await http.get("/api/sessions/s1/messages")).status_code == 404
        assert (await http.post("/api/sessions/s1/messages", json={"content": "mine?"})).status_code == 404
        assert (await http.patch("/api/sessions/s1", json={"title": "mine"})).status_code == 404
        assert (await http.delete("/api/sessions/s1")).status_code == 204
        assert (await http.post("/api/documents/delete", json={"ids": ["d1"]})).json() == {"deleted": 0}
        session = (await http.post("/api/sessions", json={})).json()
        events = await say(http, session["id"], "What is Ann's secret of tea?")
        assert events[1] == {"sources": []}
        assert "secret" not in events[-1]["answer"]["content"]
    async with site.as_user("ann") as http:
        [message] = (await http.get("/api/sessions/s1/messages")).json()["items"]
        assert message["content"] == "Ann's secret"
        assert len((await http.get("/api/search", params={"q": "tea"})).json()) == 1


@pytest.mark.parametrize("token", ["-", "nonsense", "sb_secret_key"])
async def test_without_a_token_of_the_issuers_there_is_nothing(site, token):
    async with httpx.AsyncClient(base_url=site.url, headers={"Authorization": f"Bearer {token}"}) as http:
        for path in ("/api/me", "/api/sessions", "/api/documents", "/api/search?q=tea", "/api/migration"):
            answer = await http.get(path)
            assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer"), path
        assert (await http.post("/login", json={"token": token})).status_code == 401


async def test_a_session_that_is_not_there_is_404(site):
    async with site.as_user("ann") as http:
        answer = await http.get(f"/api/sessions/{new_id()}/messages")
        assert (answer.status_code, "no session" in answer.json()["detail"]) == (404, True)
