"""`python -m tests.frameworks lock` pins the environments anew; `build` builds them; `dump [NAME …]` writes `dumps/` anew."""

from __future__ import annotations

import argparse

from tests.frameworks import dumps
from tests.frameworks.environments import environment_names, interpreter, lock
from tests.frameworks.framework import Framework
from tests.frameworks.scenarios import SCENARIOS
from tests.servers.search_redis import running_search_redis


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.frameworks", description=__doc__)
    parser.add_argument("command", choices=["lock", "build", "dump"])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"for dump: {', '.join(SCENARIOS)}; none means all")
    chosen = parser.parse_args()
    if chosen.command == "lock":
        lock()
    elif chosen.command == "build":
        for name in environment_names():
            interpreter(name)
    else:
        _dump(chosen.names or list(SCENARIOS))


def _dump(names: list[str]) -> None:
    running: dict[str, Framework] = {}

    def named(name: str) -> Framework:
        return running.get(name) or running.setdefault(name, Framework(name))

    try:
        with running_search_redis() as server, dumps.connect(server.url) as client:
            for name in names:
                client.flushall()
                dumps.save(name, dumps.take(client, lambda name=name: SCENARIOS[name](named, server.url)))  # type: ignore[misc]
                print(name)
    finally:
        for framework in running.values():
            framework.stop()


main()
