"""What answers: sentences of the user's own documents, without any model; or a model, if the settings name one."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import httpx

from chatstore import Match, Message
from examples.app.embedder import words
from examples.app.settings import AppSettings

_LIKE = 0.15
"""What a document's score must be at the least, for its sentences to be an answer."""
_SENTENCES = 3
_PACE = 0.012
_ROLES = frozenset({"user", "assistant", "system"})
_NOTHING = (
    "I found nothing about that in your documents. Upload a text, a Markdown file or a PDF that says something about "
    "it, and ask me again."
)


class ModelError(Exception):
    """The model did not answer as it should; the message is for the user."""


class Responder(Protocol):
    """Answers the last message of a conversation."""

    def answer(self, history: Sequence[Message], sources: Sequence[Match]) -> AsyncIterator[str]:
        """Yield the answer, piece by piece.

        Args:
            history: The conversation's last messages, oldest first; the last one is the question.
            sources: What was found on the question, best first.
        """
        ...


def make_responder(settings: AppSettings, http: httpx.AsyncClient) -> Responder:
    """Return the model that the settings name, or else what needs none."""
    if settings.model_url is None:
        return Quoting()
    key = None if settings.model_key is None else settings.model_key.get_secret_value()
    return Model(http, settings.model_url, settings.model_name, key)


class Quoting:
    """Answers with those sentences of the sources that have most words in common with the question."""

    def __init__(self, pace: float = _PACE) -> None:
        self._pace = pace

    async def answer(self, history: Sequence[Message], sources: Sequence[Match]) -> AsyncIterator[str]:
        """Yield the answer word by word, at about the pace of a model."""
        for token in re.findall(r"\s*\S+", _quoted(history[-1].content, sources)):
            yield token
            await asyncio.sleep(self._pace)


def _quoted(question: str, sources: Sequence[Match]) -> str:
    asked = set(words(question))
    ranked = sorted(
        (
            (len(asked & set(words(sentence))), match.score, match.document.title, sentence)
            for match in sources
            if match.score >= _LIKE
            for sentence in _sentences(match.document.text)
        ),
        key=lambda found: found[:2],
        reverse=True,
    )
    most = ranked[0][0] if ranked else 0
    # A sentence that stands in several places is said once, with the best of them.
    first = {sentence: title for common, _, title, sentence in reversed(ranked) if common * 2 > most}
    best = list(reversed(first.items()))[:_SENTENCES]
    if not best:
        return _NOTHING
    titles = dict.fromkeys(title or "a document without a title" for _, title in best)
    return f"{' '.join(sentence for sentence, _ in best)}\n\nFrom {' and '.join(titles)}."


def _sentences(text: str) -> list[str]:
    return [" ".join(part.split()) for part in re.split(r"(?<=[.!?])\s+|\n{2,}", text) if part.strip()]


class Model:
    """A model behind an OpenAI-compatible API: `POST {url}/chat/completions`, streamed.

    Args:
        http: Makes the requests.
        url: The API's, up to `/v1`.
        name: Of the model.
        key: To the API, if it wants one.
    """

    def __init__(self, http: httpx.AsyncClient, url: str, name: str, key: str | None) -> None:
        self._http = http
        self._url = f"{url.rstrip('/')}/chat/completions"
        self._name = name
        self._headers = {} if key is None else {"Authorization": f"Bearer {key}"}

    async def answer(self, history: Sequence[Message], sources: Sequence[Match]) -> AsyncIterator[str]:
        """Yield the answer as the model makes it.

        Raises:
            ModelError: It cannot be reached, refuses, or answers with something else.
        """
        said = [{"role": said.role, "content": said.content} for said in history if said.role in _ROLES]
        asked = {
            "model": self._name,
            "stream": True,
            "messages": [{"role": "system", "content": _told(sources)}, *said],
        }
        try:
            async with self._http.stream("POST", self._url, json=asked, headers=self._headers) as answer:
                if answer.status_code != httpx.codes.OK:
                    raise ModelError(f"the model's server answers with status {answer.status_code}")
                async for line in answer.aiter_lines():
                    if token := _token(line):
                        yield token
        except httpx.HTTPError as error:
            raise ModelError("the model's server does not answer") from error
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise ModelError("the model's server answers with something else than chat completions") from error


def _told(sources: Sequence[Match]) -> str:
    quoted = "\n\n".join(f"# {match.document.title}\n{match.document.text}" for match in sources)
    return f"Answer from the user's documents, and say so where they do not tell.\n\n{quoted}"


def _token(line: str) -> str | None:
    """Return the piece of an answer that a line of the stream (server-sent events) holds, if it holds one."""
    data = line.removeprefix("data:").strip()
    if not line.startswith("data:") or data == "[DONE]":
        return None
    choices = json.loads(data)["choices"]
    return choices[0]["delta"].get("content") if choices else None
