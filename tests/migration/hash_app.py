"""An app of the layout `hash` that knows nothing of chatstore: what it writes, and what it reads."""

import json

LATER = 4_000_000_000_000
"""A time in milliseconds, far ahead: when what expires does so."""


def fill_chat(client, sessions, first=0):
    """Write sessions as an app of the layout `hash` does: with fields that no model names, and one that expires."""
    pipe = client.pipeline()
    for number in range(first, sessions):
        ids = [f"s{number}-m{place}" for place in range(3)]
        session = {"userId": "u", "title": f"Grüße {number}", "messageIds": json.dumps(ids), "metadata": '{"a": [1]}'}
        times = {"createdAt": 1_700_000_000_123 + number, "updatedAt": 1_700_000_100_456}
        pipe.hset(f"session:s{number}", mapping={**session, **times, "pinned": "yes"})
        for place, name in enumerate(ids):
            message = {"sessionId": f"s{number}", "role": "tool", "content": f"{place} \u2028 🦊", "metadata": "{}"}
            extra = {"createdAt": 1_700_000_000_000 + place, "embedding": "[0.1,0.25]", "toolCall": "c1"}
            pipe.hset(f"message:{name}", mapping={**message, **extra})
    for key in ("session:s1", "message:s1-m0", "message:s1-m1", "message:s1-m2"):
        pipe.pexpireat(key, LATER)
    pipe.execute()


def fill_documents(client, documents):
    pipe = client.pipeline()
    for number in range(documents):
        fields = {"title": f"Doc {number}", "content": f"text {number}", "url": "https://example.org/d", "userId": "u"}
        vector = {"embedding": json.dumps([0.1, -2.5, 3e-7, 1 + number]), "metadata": json.dumps({"page": number})}
        times = {"createdAt": 1_700_000_000_123 + number, "updatedAt": 1_700_000_100_456}
        pipe.hset(f"document:d{number}", mapping={**fields, **vector, **times, "source": "crawl"})
    pipe.execute()


def app_reads(client, *prefixes):
    """Return all that an app of the layout `hash` can read, JSON parsed: by key, the fields and the expiry."""
    keys = sorted(key for prefix in prefixes for key in client.keys(f"{prefix}:*"))
    found = {}
    for key in keys:
        fields = {name: _parsed(name, value) for name, value in client.hgetall(key).items()}
        found[key.decode()] = (fields, client.pexpiretime(key))
    return found


def _parsed(name, value):
    return json.loads(value) if name in {b"messageIds", b"metadata", b"embedding"} else value
