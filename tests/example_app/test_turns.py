"""What answers: a model behind an OpenAI-compatible API; and a turn that goes on, or ends early."""

import asyncio
import json

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from pydantic import SecretStr

from chatstore.settings import load_settings
from tests.example_app.conftest import listening, served
from tests.example_app.test_api import say


class Model:
    """A server with the API of a model's, which says what it was asked, and answers as a test wants."""

    def __init__(self):
        self.asked = []
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.answer = self.well
        self.app = FastAPI()
        self.app.post("/v1/chat/completions")(self._completions)

    async def _completions(self, request: Request):
        self.asked.append((request.headers.get("Authorization"), await request.json()))
        return self.answer()

    def well(self):
        async def lines():
            for token in ("Steam", "ed", "."):
                yield f"data: {json.dumps({'choices': [{'delta': {'content': token}}]})}\n\n"
                await self.go_on.wait()
            yield 'data: {"choices": []}\n\ndata: [DONE]\n\n'

        return StreamingResponse(lines(), media_type="text/event-stream")


@pytest.fixture
async def model():
    model = Model()
    async with listening(lambda _url: model.app) as url:
        model.url = f"{url}/v1"
        yield model


@pytest.fixture
async def site(redis_database, own_settings, model):
    """The app, with a model."""
    own = own_settings.model_copy(update={"model_url": model.url, "model_key": SecretStr("key"), "model_name": "m"})
    async with served(load_settings(redis_url=redis_database, _env_file=None), own, None) as site:
        yield site


async def test_a_model_answers_from_the_history_and_the_documents(site, model, old_app):
    await old_app.conversation("s1", "ann", "Tea", "Hello?", "Hello!")
    await old_app.document("d1", "ann", "Tea", "Green tea is steamed.")
    async with site.as_user("ann") as http:
        events = await say(http, "s1", "How is green tea made?")
    assert [event["token"] for event in events if "token" in event] == ["Steam", "ed", "."]
    assert events[-1]["answer"]["content"] == "Steamed."
    [(key, asked)] = model.asked
    assert (key, asked["model"], asked["stream"]) == ("Bearer key", "m", True)
    told, *said = asked["messages"]
    assert "Green tea is steamed." in told["content"]
    assert [message["content"] for message in said] == ["Hello?", "Hello!", "How is green tea made?"]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda: JSONResponse({"error": "the key sk-1"}, 401), "status 401"),
        (lambda: PlainTextResponse("data: <html>\n\n"), "something else"),
        (lambda: PlainTextResponse('data: {"choices": [1]}\n\n'), "something else"),
    ],
    ids=["refused", "no JSON", "another shape"],
)
async def test_a_model_that_fails_is_told_to_the_user_and_what_was_said_stays(site, model, old_app, answer, why):
    model.answer = answer
    await old_app.conversation("s1", "ann", "Tea")
    async with site.as_user("ann") as http:
        *_, last = await say(http, "s1", "Hello")
        assert why in last["error"]
        assert "sk-1" not in last["error"]
        [said] = (await http.get("/api/sessions/s1/messages")).json()["items"]
        assert said["content"] == "Hello"


async def test_a_turn_goes_on_when_its_browser_goes_away(site, model, old_app):
    model.go_on.clear()
    await old_app.conversation("s1", "ann", "Tea")
    async with (
        site.as_user("ann") as http,
        http.stream("POST", "/api/sessions/s1/messages", json={"content": "Hello"}) as turn,
    ):
        async for line in turn.aiter_lines():
            if "token" in json.loads(line):
                break
    model.go_on.set()
    async with site.as_user("ann") as http, asyncio.timeout(20):
        while True:
            items = (await http.get("/api/sessions/s1/messages")).json()["items"]
            if len(items) == 2:
                break
            await asyncio.sleep(0.05)
    assert [item["content"] for item in items] == ["Hello", "Steamed."]
