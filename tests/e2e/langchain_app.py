"""An app whose chats LangChain keeps in Redis: lists at `message_store:{user}:{session}`, the newest message first."""

import json

PREFIX = "message_store:"


def item(role, text):
    """A message as LangChain writes it."""
    data = {"content": text, "additional_kwargs": {}, "response_metadata": {}, "type": role, "name": None, "id": None}
    return json.dumps({"type": role, "data": data})


def say(client, session_id, *texts):
    """Add messages of a human and an assistant in turn, as the framework does."""
    for number, text in enumerate(texts):
        client.lpush(PREFIX + session_id, item(("human", "ai")[number % 2], text))


def heard(client, session_id):
    """Return the texts that the framework would read, the oldest first."""
    return [json.loads(raw)["data"]["content"] for raw in reversed(client.lrange(PREFIX + session_id, 0, -1))]
