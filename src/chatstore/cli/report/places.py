"""The settings of a run as a page may show them: which servers and layouts, and nothing that lets anybody in."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydantic import SecretStr

from chatstore.settings import Settings

_HOSTS = re.compile(r"[\w.,:%\[\]-]*", re.ASCII)
_NOT_SHOWN = "not shown"


def places(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield what is set, by what it is for; of a URL its hosts alone."""
    yield "Layout of chats", settings.chat_layout or settings.layout
    yield "Layout of documents", settings.document_layout or settings.layout
    for label, value in (
        ("Prefix of chats", settings.chat_prefix),
        ("Prefix of documents", settings.document_prefix),
        ("Index of chats", settings.chat_index),
        ("Index of documents", settings.document_index),
    ):
        if value is not None:
            yield label, value
    for label, url in (
        ("Redis", settings.redis_url),
        ("Supabase", settings.supabase_url),
        ("Postgres", settings.supabase_db_url),
        ("Chroma", settings.chroma_url),
    ):
        if url is not None:
            yield label, hosts_of(url.get_secret_value() if isinstance(url, SecretStr) else url)
    if settings.chroma_path is not None:
        yield "Chroma", "a folder"
    if settings.chroma_api_key is not None:
        yield "Chroma", "Chroma Cloud"
    yield "Collections", settings.collections


def hosts_of(url: str) -> str:
    """Return the hosts of a URL with their ports; nothing of it where a part of a password might be among them."""
    scheme, _, rest = url.partition("://")
    if scheme == "unix":
        return "a socket of this machine"
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    hosts = authority.rpartition("@")[2]
    # A password with a slash in it that is not escaped ends the authority too early.
    if "@" in rest[len(authority) :] or _HOSTS.fullmatch(hosts) is None:
        return _NOT_SHOWN
    return hosts
