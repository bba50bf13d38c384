"""What a Redis user must be allowed to do for us: the rules of an access control list, each of them needed.

The commands that scripts call are read in the scripts themselves, so those of a layout's own part are among them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import StrEnum

from chatstore.errors import ConfigurationError
from chatstore.redis.document_calls import DocumentCalls
from chatstore.redis.layouts.layout import ChatLayout, DocumentLayout
from chatstore.redis.scanning import escaped
from chatstore.redis.scripts import script
from chatstore.redis.session_calls import SessionCalls

_CALLS = re.compile(r"\b(?:p?call|call_in_pieces|call_of_type)\(([^(),]*)")
_NAMES = re.compile(r"'([A-Z]+(?:\.[A-Z]+)?)'")
_OF_MODULES = re.compile(r"'((?:FT|JSON)\.[A-Z]+|V(?:ADD|CARD|EMB|GETATTR|INFO|RANDMEMBER|REM|SETATTR|SIM))'")

_OURS = "~chatstore:*"
_RUN = frozenset({"evalsha", "script|load"})
_WALK = frozenset({"scan", "info"})
_RECORDS = frozenset({"del", "get", "hdel", "hget", "hgetall", "hlen", "hscan", "hset", "set", "zadd", "zrem"})
"""What the journal, the index and a run's progress ask without a script."""
_BY_RECORD = frozenset({"dump", "evalsha", "pexpiretime", "type"})
"""What is asked of the app's own keys only."""
_ON_WRITES = frozenset({"hkeys", "persist", "zrank"})
"""What is asked where something is written to the app's own keys."""
_SEEN = frozenset({"expire", "sadd"})
"""What a walk over sessions notes which have a key a message: those that it met."""
_CLUSTER = frozenset({"asking", "cluster|nodes", "cluster|slots"})
_LISTENING = frozenset({"ping", "psubscribe", "subscribe"})
_READS = frozenset(
    {
        *("dump", "exists", "get", "pexpiretime", "type"),
        *("hexists", "hget", "hgetall", "hmget", "hlen", "hscan"),
        *("lindex", "llen", "lrange"),
        *(
            "json.get",
            "json.objkeys",
            "json.type",
            "ft.info",
            "vcard",
            "vdim",
            "vemb",
            "vgetattr",
            "vinfo",
            "vismember",
            "vrandmember",
        ),
    }
)

_LOOKS = frozenset(
    {
        *("dbsize", "info", "scan", "time", "type", "memory|usage", "pexpiretime", "pttl"),
        *("get", "getrange", "strlen", "hget", "hgetall", "hkeys", "hlen", "hmget", "hrandfield", "hstrlen"),
        *("llen", "lrange", "scard", "srandmember", "xlen", "zcard", "zrange", "zscore"),
        *("dump", "exists", "lindex", "eval_ro", "evalsha_ro", "hexists", "script|load"),
    }
)
"""What an inspection asks of keys of any type, and the layouts' read-only scripts."""
_LOOKS_AT_MODULES = frozenset(
    {
        *("ft._list", "ft.aggregate", "ft.cursor", "ft.info", "ft.search", "json.get", "json.mget", "json.objkeys"),
        *("vcard", "vemb", "vgetattr", "vinfo", "vrandmember"),
    }
)

_SESSIONS = (
    ("values", "session_keys", "fingerprint", "session", "session_read"),
    ("values", "session_keys", "session", "session_adopt"),
    ("values", "session_keys", "session", "session_join"),
    ("values", "session_keys", "fingerprint", "session_fingerprint"),
)
_SESSION_WRITES = (("values", "session_keys", "marks", "session", "session_write"),)
_DOCUMENTS = (("values", "document", "document_read"), ("values", "document", "document_join"))
_DOCUMENT_WRITES = (("values", "marks", "document", "document_write"),)
_DOCUMENT_PEEK = (("values", "document_peek"),)
_JOURNAL = (
    ("values", "index_page"),
    ("values", "journal_backlog"),
    ("values", "journal_list"),
    ("values", "marks", "journal_add"),
    ("values", "marks", "journal_clear"),
    ("values", "marks", "journal_clear_alone"),
    ("values", "marks", "journal_of_user"),
)
_RUNS = (
    ("values", "checkpoint_save"),
    ("values", "lease_acquire"),
    ("values", "lease_release"),
    ("values", "report_save"),
)


class Purpose(StrEnum):
    """What a user is for: an inspection, a migration that only reads the app's data, or the router's writes."""

    INSPECT = "inspect"
    MIGRATE = "migrate"
    ROUTER = "router"


def acl_rules(
    purpose: Purpose,
    chat: ChatLayout | None,
    documents: DocumentLayout | None,
    *,
    cluster: bool = False,
    database: int = 0,
    notice: bool = False,
    modules: bool = False,
) -> list[str]:
    """Return the rules that give a user all that it needs, and nothing else, as `ACL SETUSER` takes them.

    Args:
        purpose: What the user is for. One for an inspection reads any key, and writes none. One for the migration
            cannot change the app's own keys: it copies from Redis, and verifies; what the new side has newer, as after
            a cutover, is brought back by the router's user only. Its rules have selectors, which came with Redis 7.
            One for the router may migrate and repair, too.
        chat: The layout of the sessions; None where there are none.
        documents: The layout of the documents; None where there are none.
        cluster: Whether it is a cluster's user, which then is made on every node.
        database: The logical database.
        notice: Whether it listens to what other programs write.
        modules: Of an inspection: whether the server has search, JSON or vector sets.

    Raises:
        ConfigurationError: Nobody said what the keys of the documents begin with.
    """
    if purpose is Purpose.INSPECT:
        looks = _LOOKS | (_LOOKS_AT_MODULES if modules else frozenset()) | ({"select"} if database else frozenset())
        # Modules know keys that are read and keys that are written by one right only.
        keys = "~*" if modules else "%R~*"
        return ["reset", "-@all", *_plus(looks | (_CLUSTER if cluster else frozenset())), keys]
    if documents is not None and not hasattr(documents, "prefix"):
        raise ConfigurationError(
            f"only the search index says what the keys of the layout {documents.name} begin with: "
            f"set CHATSTORE_DOCUMENT_PREFIX to that, here at least"
        )
    named = [layout.prefix for layout in (chat, documents) if layout is not None]
    beside = [] if chat is None else [*chat.beside, *([chat.orphans.prefix] if chat.orphans is not None else [])]
    parts = _used(chat, documents)
    every = sorted([*_outside([*named, *beside]), *_indexes(chat, documents)])
    extra = _CLUSTER if cluster else frozenset()
    extra |= frozenset({"select"} if database else ()) | (_LISTENING if notice else frozenset())
    channels = _channels(chat, documents, database) if notice else []
    if purpose is Purpose.ROUTER or not every:
        commands = _RUN | _WALK | _RECORDS | parts | extra
        return ["reset", "-@all", *_plus(commands), _OURS, *every, *channels]
    own = _RUN | _WALK | _RECORDS | (parts - _of_layouts_alone(chat, documents)) | extra
    reads = _by_layouts(chat, documents) & _READS
    return [
        *("reset", "-@all", *_plus(own - _BY_RECORD - _ON_WRITES), _OURS, *channels),
        f"({' '.join(['-@all', '+evalsha', _OURS, *_outside(named)])})",
        f"({' '.join(['-@all', *_plus(reads), *every])})",
    ]


def acl_line(rules: Sequence[str], user: str = "chatstore") -> str:
    """Return the command that makes a user with these rules, for `redis-cli`; the password is to be filled in."""
    head, *rest = rules
    return " ".join(["ACL SETUSER", user, head, "on", ">PASSWORD", *map(_quoted, rest)])


def script_commands(parts: Iterable[Sequence[str]], layout: str = "") -> frozenset[str]:
    """Return the commands that scripts may call, in lower case."""
    texts = [script(*one, layout=layout).source for one in parts]
    names = [name for text in texts for first in _CALLS.findall(text) for name in _NAMES.findall(first)]
    # Those of modules are often put together with their arguments before they are called.
    names += [name for text in texts for name in _OF_MODULES.findall(text)]
    return frozenset(map(str.lower, names))


def _asked_first(documents: DocumentLayout) -> frozenset[str]:
    """Return what a layout asks before it is used: of a search index, or of a vector set."""
    if type(documents).prepare is DocumentLayout.prepare:
        return frozenset()
    if documents.kind == "vectorset":
        return frozenset({"eval", "vcard", "vrandmember"})
    # What stands behind the prefix of an index, some of its keys tell.
    return frozenset({"eval", "ft.info", "ft.search"})


def _used(chat: ChatLayout | None, documents: DocumentLayout | None) -> frozenset[str]:
    used = script_commands((*_JOURNAL, *_RUNS))
    if chat is not None:
        used |= script_commands((*_SESSIONS, *_SESSION_WRITES), chat.lua)
        if not chat.derived:
            # Its messages have ids and no order but ours: it is `unranked`.
            used -= {"zrank"}
        if chat.keyed:
            used |= _SEEN
    if documents is not None:
        used |= script_commands((*_DOCUMENTS, *_DOCUMENT_WRITES), documents.lua) | _asked_first(documents)
        used |= _peeked(documents)
    return used


def _of_layouts_alone(chat: ChatLayout | None, documents: DocumentLayout | None) -> frozenset[str]:
    """Return the commands that only the layouts' own parts call: to keys that a migration reads at most."""
    ours = script_commands((*_JOURNAL, *_RUNS))
    if chat is not None:
        ours |= script_commands(_SESSIONS)
    if documents is not None:
        ours |= script_commands(_DOCUMENTS)
    return _used(chat, documents) - ours


def _by_layouts(chat: ChatLayout | None, documents: DocumentLayout | None) -> frozenset[str]:
    """Return the commands that the layouts' own parts call."""
    luas = [layout.lua for layout in (chat, documents) if layout is not None]
    return _peeked(documents).union(*(script_commands((("values",),), lua) for lua in luas))


def _peeked(documents: DocumentLayout | None) -> frozenset[str]:
    """Return the commands that tell of a document what one look tells."""
    return script_commands(_DOCUMENT_PEEK) if documents is not None and documents.peek is not None else frozenset()


def _indexes(chat: ChatLayout | None, documents: DocumentLayout | None) -> list[str]:
    """Return the patterns of the search indexes that are asked: for the server their names are keys."""
    asked = [documents.index] if documents is not None and "ft.info" in _asked_first(documents) else []
    if chat is not None and chat.keyed:
        asked.append(chat.index)
    return [f"~{escaped(name.encode()).decode()}" for name in asked if name is not None]


def _outside(prefixes: Iterable[bytes]) -> list[str]:
    """Return the patterns of keys that are not ours."""
    patterns = sorted({_pattern(prefix) for prefix in prefixes})
    return [pattern for pattern in patterns if not pattern.startswith(_OURS[:-1])]


def _channels(chat: ChatLayout | None, documents: DocumentLayout | None, database: int) -> list[str]:
    """Return the channels: what is listened to by a pattern must be allowed by that very pattern."""
    head = f"&__keyspace@{database}__:"
    heard = [layout.prefix for layout in (chat, documents) if layout is not None]
    if chat is not None:
        heard.append(SessionCalls(chat).ledger.head("state"))
    if documents is not None:
        heard.append(DocumentCalls(documents).ledger.head("state"))
    patterns = sorted({_pattern(prefix)[1:] for prefix in heard})
    return [head + pattern for pattern in [*patterns, "chatstore:probe:*"]]


def _pattern(prefix: bytes) -> str:
    return f"~{escaped(prefix).decode('utf-8', 'backslashreplace')}*"


def _plus(commands: Iterable[str]) -> list[str]:
    return [f"+{command}" for command in sorted(commands)]


def _quoted(rule: str) -> str:
    return f'"{rule}"' if " " in rule and not rule.startswith("(") else rule
