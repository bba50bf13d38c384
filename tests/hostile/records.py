"""Records of other programs in Redis that no layout promises: by a name, what lies there, and what is to become of it."""

import json
from dataclasses import dataclass, field

SECRET = {"lc": 1, "type": "secret", "id": ["OPENAI_API_KEY"]}
DEEP = b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
NESTED = '{"a":' * 99 + "{}" + "}" * 99
HUGE = 2**4095
TIMES = {"createdAt": 1_700_000_000_000, "updatedAt": 1_700_000_100_000}


@dataclass(frozen=True)
class Bad:
    """It is to be found in quarantine.

    Attributes:
        reason: A part of the reason.
        value: What of its raw data.
    """

    reason: str
    value: bytes = b""


@dataclass(frozen=True)
class Kept:
    """It is to be found on the new side, as it is.

    Attributes:
        held: Some of its fields, by the names of the model.
    """

    held: dict = field(default_factory=dict)


@dataclass(frozen=True)
class OfType:
    """What lies at a key instead of a hash.

    Attributes:
        command: Writes it; its key is left out.
        arguments: Behind the key.
    """

    command: str
    arguments: tuple


BAD_JSON = {
    "truncated": (b'{"a": ', "no JSON"),
    "no JSON": (b"undefined", "no JSON"),
    "a list": (b"[1]", "no object"),
    "a number": (b"3", "no object"),
    "a text": (b'"a"', "no object"),
    "true": (b"true", "no object"),
    "a NaN": (b'{"a": NaN}', "no JSON"),
    "an infinity": (b'{"a": -Infinity}', "no JSON"),
    "a number beyond all": (b'{"a": 1e999}', "no JSON"),
    "the same key twice": (b'{"a": 1, "a": 2}', "no JSON"),
    "the same key twice, deep": (b'{"b": [{"a": 1, "a": 1}]}', "no JSON"),
    "a lone surrogate": (b'{"a": "\\ud800"}', "no JSON"),
    "a lone surrogate in a key": (b'{"\\udc00": 1}', "no JSON"),
    "no UTF-8": (b'{"a": "\xff"}', "no JSON"),
    "100,000 levels": (DEEP, "no JSON"),
    "101 levels": (b'{"a":' * 101 + b"{}" + b"}" * 101, "no JSON"),
    "an integer of 5,000 digits": (b'{"a": %s}' % (b"9" * 5000), "no JSON"),
    "two objects": (b"{} {}", "no JSON"),
    "a comment": (b"{} // a", "no JSON"),
    "a pickle": (b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00}\x94.", "no JSON"),
}
ODD_JSON = {
    "a secret of LangChain": SECRET,
    "a constructor of LangChain": {"lc": 1, "type": "constructor", "id": ["os", "system"], "kwargs": {"command": "id"}},
    "a secret, deep": {"a": [{"b": SECRET}]},
    "NUL": {"a\0": "b\0c"},
    "a dunder": {"__proto__": {"a": 1}, "__class__": "os.system"},
    "an operator": {"$ne": 1, "$and": [], "a.b": {"$gt": ""}},
    "an integer beyond 64 bits": {"a": 2**64 + 1, "b": -(2**70)},
    "an integer of 4,096 bits": {"a": HUGE},
    "a tiny number": {"a": 5e-324, "b": -0.5, "c": 1.7976931348623157e308},
    "99 levels": json.loads(NESTED),
    "an empty key": {"": ""},
    "our own names": {"chroma:document": "x", "user_id": "other", "chatstore": {"v": 1}},
    "SQL": {"'); drop table public.sessions; --": "$$ ' \" \\"},
    "what looks like our escape": {"a": "\ufdd00000", "\ufdd0": 1},
}
BAD_TIMES = {
    "a word": "yesterday",
    "a dash": "-",
    "20 digits": "9" * 20,
    "hexadecimal": "0x10",
    "the 30th of February": "2023-02-30T00:00:00Z",
    "NaN": "NaN",
    "an infinity": "inf",
    "between seconds and milliseconds": "99999999999",
    "nanoseconds": "1700000000000000000",
    "bytes": b"\xff",
}
ODD_TIMES = {
    "seconds": ("1700000000", 1_700_000_000_000_000),
    "seconds with a fraction": ("1700000000.25", 1_700_000_000_250_000),
    "milliseconds": ("1700000000001", 1_700_000_000_001_000),
    "microseconds": ("1700000000000001", 1_700_000_000_000_001),
    "a text": ("2023-11-14T22:13:20.5Z", 1_700_000_000_500_000),
    "a text of another zone": ("2023-11-15T00:13:20+02:00", 1_700_000_000_000_000),
    "1970": ("0", 0),
    "before 1970": ("-1000", -1_000_000),
    "9999": ("253402300799999", 253_402_300_799_999_000),
}
OTHER_TYPES = {
    "a string": OfType("SET", (b"\xffraw",)),
    "a list": OfType("RPUSH", ("a", "b")),
    "a set": OfType("SADD", ("a",)),
    "a sorted set": OfType("ZADD", (1, "a")),
    "a stream": OfType("XADD", ("1-1", "a", "b")),
}
IDS = {
    "*": "*",
    "?": "?",
    "a class": "[a-z]",
    "a colon": "a:b",
    "a tag": "{tag}",
    "no end of a tag": "{tag",
    "CR and LF": "a\r\nDEL x\r\n",
    "an escape of a terminal": "\x1b[2J",
    "NUL": "a\0b",
    "composed": "\u00e9",
    "decomposed": "e\u0301",
    "the parent folder": "../a",
    "null": "null",
    "a digit": "1",
    "a digit with a zero": "01",
    "a quoted digit": '"1"',
    "percent": "%25",
    "PostgREST's or": "a),or(user_id.neq.a",
    "a comma": 'a","b',
    "a backslash": "\\",
    "a space": " ",
    "capitals": "NULL",
    "1,024 bytes": "x" * 1024,
    "1,025 bytes": "y" * 1025,
}
LONG = "".join(f"{number:x}" for number in range(2500))
"""An id that no index of Postgres can hold, as it is too long, and compresses badly."""
BAD_IDS = {
    "empty": (b"", "empty"),
    "no UTF-8": (b"\xff", "UTF-8"),
    "a surrogate": (b"\xed\xa0\x80", "UTF-8"),
}


@dataclass(frozen=True)
class Case:
    """A record, and what is to become of it.

    Attributes:
        key: Where it lies.
        lies: The fields of a hash that it has beside, or instead of, those of a healthy one (None: it lacks it), or what
            else lies there.
        expected: What is to become of it.
    """

    key: bytes
    lies: dict | OfType
    expected: Bad | Kept


_UNLISTED = "no session lists this message"


def _key(kind: str, name: str) -> bytes:
    return f"{kind}:{name}".encode()


def _of_metadata(kind: str) -> dict[str, Case]:
    bad = {
        f"metadata: {name}": Case(_key(kind, f"metadata {name}"), {"metadata": raw}, Bad(reason, raw[:1000]))
        for name, (raw, reason) in BAD_JSON.items()
    }
    odd = {
        f"metadata: {name}": Case(
            _key(kind, f"metadata {name}"), {"metadata": json.dumps(held)}, Kept({"metadata": held})
        )
        for name, held in ODD_JSON.items()
    }
    none = {
        f"metadata: {name}": Case(_key(kind, f"metadata {name}"), {"metadata": raw}, Kept({"metadata": {}}))
        for name, raw in {"null": b"null", "empty": b"", "absent": None}.items()
    }
    return bad | odd | none


def _of_times(kind: str) -> dict[str, Case]:
    bad = {
        f"time: {name}": Case(_key(kind, f"time {name}"), {"createdAt": raw}, Bad("createdAt"))
        for name, raw in BAD_TIMES.items()
    }
    odd = {
        f"time: {name}": Case(_key(kind, f"time {name}"), {"createdAt": raw}, Kept({"created_at": micros}))
        for name, (raw, micros) in ODD_TIMES.items()
    }
    return bad | odd


def _of_keys(kind: str) -> dict[str, Case]:
    bad = {
        f"id: {name}": Case(f"{kind}:".encode() + raw, {}, Bad(_UNLISTED if kind == "message" else reason))
        for name, (raw, reason) in BAD_IDS.items()
    }
    odd = {f"id: {name}": Case(_key(kind, one), {}, Kept({"id": one})) for name, one in IDS.items()}
    types = {
        f"type: {name}": Case(_key(kind, f"type {name}"), lies, Bad("a hash was expected"))
        for name, lies in OTHER_TYPES.items()
    }
    field_name = Case(_key(kind, "a field's name"), {b"\xff": "x"}, Bad("field's name is not UTF-8", b"\xff"))
    return bad | odd | types | {"a field's name": field_name}


def _of_texts(kind: str, names: dict[str, str]) -> dict[str, Case]:
    cases = {}
    for name, model in names.items():
        cases[f"{name}: no UTF-8"] = Case(_key(kind, f"{name} bytes"), {name: b"\xff\xfe"}, Bad("UTF-8", b"\xff\xfe"))
        for what, text in {
            "NUL": "a\0b",
            "what our escape looks like": "\ufdd00000\ufdd0",
            "an escape of a terminal": "\x1b[2J\r\n",
            "a secret": json.dumps(SECRET),
            "SQL": "'); drop table public.sessions; --",
            "a text of right to left": "\u202eabc",
            "no characters": "\uffff\U0010ffff",
        }.items():
            cases[f"{name}: {what}"] = Case(_key(kind, f"{name} {what}"), {name: text}, Kept({model: text}))
    return cases


SESSIONS = {
    **_of_metadata("session"),
    **_of_times("session"),
    **_of_keys("session"),
    **_of_texts("session", {"title": "title"}),
    **{
        f"messageIds: {name}": Case(
            _key("session", f"messageIds {name}"), {"messageIds": raw}, Bad("messageIds", raw[:99])
        )
        for name, raw in {
            "an object": b"{}",
            "truncated": b'["a"',
            "a number": b"7",
            "a text": b'"a"',
            "null": b"null",
            "5,000 levels": b"[" * 5000 + b"]" * 5000,
        }.items()
    },
    "messageIds: empty": Case(b"session:messageIds empty", {"messageIds": ""}, Kept()),
    "messageIds: absent": Case(b"session:messageIds absent", {"messageIds": None}, Kept()),
    "user: empty": Case(b"session:user empty", {"userId": ""}, Bad("userId")),
    "user: absent": Case(b"session:user absent", {"userId": None}, Bad("userId")),
    "user: no UTF-8": Case(b"session:user bytes", {"userId": b"\xff"}, Bad("UTF-8", b"\xff")),
    "user: 1,025 bytes": Case(b"session:user long", {"userId": "u" * 1025}, Kept({"user_id": "u" * 1025})),
    "no time at all": Case(b"session:no time", {"createdAt": None, "updatedAt": None}, Bad("createdAt")),
    "id: 7,000 bytes": Case(_key("session", LONG), {}, Bad("(54000): an id, a number or a time is too great")),
    "no fields but one": Case(
        b"session:bare", {**dict.fromkeys(TIMES), "title": None, "metadata": None}, Bad("createdAt")
    ),
    "a field of Redis' own names": Case(
        b"session:fields", {"__proto__": "x", "": "y"}, Kept({"extra": {"__proto__": "x", "": "y"}})
    ),
}
MESSAGES = {
    **_of_metadata("message"),
    **_of_times("message"),
    **_of_keys("message"),
    **_of_texts("message", {"content": "content"}),
    "role: empty": Case(b"message:role empty", {"role": ""}, Bad("role")),
    "role: absent": Case(b"message:role absent", {"role": None}, Bad("role")),
    "role: no UTF-8": Case(b"message:role bytes", {"role": b"\xff"}, Bad("UTF-8")),
    "role: unknown": Case(b"message:role unknown", {"role": "'); drop"}, Kept({"role": "'); drop"})),
    "role: NUL": Case(b"message:role nul", {"role": "a\0"}, Kept({"role": "a\0"})),
    "role: 1,025 bytes": Case(b"message:role long", {"role": "r" * 1025}, Kept({"role": "r" * 1025})),
    "content: absent": Case(b"message:content absent", {"content": None}, Kept({"content": ""})),
    "content: 2 MB": Case(b"message:content long", {"content": "x" * 2_000_000}, Kept({"content": "x" * 2_000_000})),
    "session: another": Case(b"message:session another", {"sessionId": "healthy"}, Bad(_UNLISTED)),
    "id: 7,000 bytes": Case(_key("message", LONG), {}, Bad("(54000): an id, a number or a time is too great")),
    "it is not there": Case(b"message:gone", {}, Bad("not there")),
}
_VECTORS = {
    "a text": b"east",
    "an object": b"{}",
    "a text in it": b'[1, "0"]',
    "a text of JSON": b'"[1, 0]"',
    "a NaN": b"[1, NaN]",
    "null in it": b"[1, null]",
    "true in it": b"[1, true]",
    "beyond float32": b"[1, 1e39]",
    "beyond float64": b"[1, 1e999]",
    "lists": b"[[1, 0]]",
    "truncated": b"[1, 0",
    "100,000 levels": b"[" * 100_000 + b"]" * 100_000,
    "bytes": b"\x00\x00\x80\x3f\x00\x00\x00\x00",
}
DOCUMENTS = {
    **_of_metadata("document"),
    **_of_times("document"),
    **_of_keys("document"),
    **_of_texts("document", {"title": "title", "url": "url", "content": "text"}),
    **{
        f"embedding: {name}": Case(
            _key("document", f"embedding {name}"), {"embedding": raw}, Bad("embedding", raw[:99])
        )
        for name, raw in _VECTORS.items()
    },
    "id: 7,000 bytes": Case(_key("document", LONG), {}, Kept({"id": LONG})),
    "embedding: zeros": Case(b"document:zeros", {"embedding": "[0, 0]"}, Kept({"embedding": (0.0, 0.0)})),
    "embedding: integers": Case(b"document:integers", {"embedding": "[7, -1]"}, Kept({"embedding": (7.0, -1.0)})),
    "embedding: tiny": Case(
        b"document:tiny", {"embedding": "[1e-45, 0]"}, Kept({"embedding": (1.401298464324817e-45, 0.0)})
    ),
    "embedding: three numbers": Case(
        b"document:three", {"embedding": "[1, 0, 0]", "userId": "other"}, Kept({"user_id": "other"})
    ),
    "user: empty": Case(b"document:user empty", {"userId": ""}, Bad("nobody")),
    "user: no UTF-8": Case(b"document:user bytes", {"userId": b"\xff"}, Bad("UTF-8", b"\xff")),
    "user: 1,025 bytes": Case(b"document:user long", {"userId": "u" * 1025}, Kept({"user_id": "u" * 1025})),
    "no time at all": Case(b"document:no time", {"createdAt": None, "updatedAt": None}, Bad("createdAt")),
}
LANGCHAIN = {
    "truncated": (b'{"type": "human", "data": {"conte', Bad("")),
    "no JSON": (b"hello", Bad("")),
    "no UTF-8": (b'{"type": "human", "data": {"content": "\xff"}}', Bad("")),
    "a NaN": (b'{"type": "human", "data": {"content": "a", "b": NaN}}', Bad("")),
    "the same key twice": (b'{"type": "human", "data": {"content": "a", "content": "b"}}', Bad("")),
    "a lone surrogate": (b'{"type": "human", "data": {"content": "\\ud800"}}', Bad("")),
    "100,000 levels": (b'{"type": "human", "data": {"content": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}", Bad("")),
    "no data": (b'{"type": "human"}', Bad("LangChain did not write it")),
    "data of another type": (b'{"type": "human", "data": "x"}', Bad("LangChain did not write it")),
    "a list": (b"[]", Bad("")),
    "null": (b"null", Bad("")),
    "a pickle": (b"\x80\x04}\x94.", Bad("")),
    "NUL": (b'{"type": "human", "data": {"content": "a\\u0000b"}}', Kept({"content": "a\0b"})),
    "a secret": (
        json.dumps({"type": "ai", "data": {"content": "c", "additional_kwargs": {"key": SECRET}}}).encode(),
        Kept({"content": "c"}),
    ),
    "a message that is a secret": (json.dumps(SECRET).encode(), Bad("LangChain did not write it")),
    "an unknown type": (b'{"type": "oracle", "data": {"content": "c"}}', Kept({"content": "c"})),
}
HEALTHY = {
    "session": {"userId": "ann", "title": "t", "messageIds": "[]", "metadata": "{}", **TIMES},
    "message": {
        "sessionId": "mixed",
        "role": "user",
        "content": "c",
        "metadata": "{}",
        "createdAt": TIMES["createdAt"],
    },
    "document": {
        "userId": "ann",
        "title": "t",
        "content": "c",
        "url": "",
        "embedding": "[1, 0]",
        "metadata": "{}",
        **TIMES,
    },
}


def fill(client) -> None:
    """Write all cases, and beside each kind of them healthy ones; `session:mixed` lists all messages."""
    pipe = client.pipeline()
    for kind, cases in {"session": SESSIONS, "message": MESSAGES, "document": DOCUMENTS}.items():
        for case in cases.values():
            if isinstance(case.lies, OfType):
                pipe.execute_command(case.lies.command, case.key, *case.lies.arguments)
            elif case.key != b"message:gone":
                fields = {**HEALTHY[kind], **case.lies}
                pipe.hset(case.key, mapping={name: value for name, value in fields.items() if value is not None})
    ids = [_listed(case.key.removeprefix(b"message:")) for case in MESSAGES.values()]
    ids = [one for pair in zip(ids, map(_healthy, range(len(ids))), strict=True) for one in pair if one is not None]
    pipe.hset("session:mixed", mapping={**HEALTHY["session"], "messageIds": json.dumps(ids)})
    for number in range(len(MESSAGES)):
        pipe.hset(f"message:{_healthy(number)}", mapping=HEALTHY["message"])
    for number in range(20):
        pipe.hset(f"session:healthy {number}", mapping=HEALTHY["session"])
        pipe.hset(f"document:healthy {number}", mapping=HEALTHY["document"])
    pipe.execute()


def fill_langchain(client) -> None:
    """Write a list of LangChain's a case, between two healthy items, and one that is no list; newest first."""
    pipe = client.pipeline()
    for name, (item, _) in LANGCHAIN.items():
        around = [json.dumps({"type": "human", "data": {"content": text}}) for text in ("before", "after")]
        pipe.lpush(f"message_store:{name}", around[0], item, around[1])
    pipe.execute()


def _healthy(number: int) -> str:
    return f"healthy {number}"


def _listed(name: bytes) -> str | None:
    # What is no text cannot be listed in JSON: its message is one that no session lists.
    try:
        return name.decode() or None
    except UnicodeDecodeError:
        return None
