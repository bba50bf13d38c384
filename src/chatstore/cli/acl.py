"""`chatstore acl`: what the Redis user of REDIS_URL must be allowed to do."""

from __future__ import annotations

from typing import Annotated

import typer

from chatstore.cli.output import AsJson, answer, say

_For = Annotated[
    str, typer.Argument(help="inspect; migrate, which only reads the app's keys; or router, which writes them.")
]
_User = Annotated[str, typer.Option("--user", help="The user's name.")]
_Modules = Annotated[bool, typer.Option("--modules", help="To inspect a server with search, JSON or vector sets.")]
_Notice = Annotated[bool, typer.Option("--notice", help="Also listen to what other programs write.")]


def register(app: typer.Typer) -> None:
    """Add the command to a program."""
    app.command()(acl)


def acl(
    purpose: _For = "router",
    *,
    user: _User = "chatstore",
    notice: _Notice = False,
    modules: _Modules = False,
    as_json: AsJson = False,
) -> None:
    """Print the rights that the Redis user needs.

    It is a line for redis-cli, for the layouts of the settings, and with one right less something would be refused.

    Example:  chatstore acl migrate --user mover
    """
    from chatstore.errors import ConfigurationError
    from chatstore.models import Kind
    from chatstore.old_layouts import OldLayouts
    from chatstore.redis.access import Purpose, acl_line, acl_rules
    from chatstore.settings import load_settings

    if purpose not in list(Purpose):
        raise ConfigurationError(f"{purpose!r} is nothing that a user is for: say {', '.join(Purpose)}")
    settings = load_settings()
    layouts = OldLayouts(settings, ownerless=True)
    url = settings.redis_url.get_secret_value() if settings.redis_url else ""
    rules = acl_rules(
        Purpose(purpose),
        layouts.chat() if layouts.has(Kind.CHAT) else None,
        layouts.documents() if layouts.has(Kind.DOCUMENTS) else None,
        cluster="+cluster://" in url,
        database=_database(url),
        notice=notice,
        modules=modules,
    )
    line = acl_line(rules, user)
    answer({"purpose": purpose, "user": user, "rules": rules, "line": line}, [line], as_json=as_json)
    if "+cluster://" in url:
        say("run it on every node of the cluster")


def _database(url: str) -> int:
    from urllib.parse import parse_qs, urlsplit

    if not url or "+cluster://" in url:
        return 0
    _, _, behind = url.rpartition("@")
    parts = urlsplit(f"//{behind.partition('://')[2] or behind}")
    last = parse_qs(parts.query).get("db", parts.path.rsplit("/", 1)[-1:])[0]
    return int(last) if last.isdigit() else 0
