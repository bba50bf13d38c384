"""The demo: `make demo`, or `python -m demo [--short] [--seconds N] [--seed N] [--keep DIR]`.

Exit status: 0 when nothing was lost, 1 when anything was, 2 when the demo could not be run.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from chatstore.errors import ChatStoreError
from chatstore.local import LocalStack
from chatstore.supabase import schema_sql
from demo.director import WalkError
from demo.fleet import AppFailedError
from demo.play import play
from demo.report import Story
from demo.scale import FULL, SHORT

_OF_SETTINGS = ("REDIS_", "SUPABASE_", "CHROMA_", "CHATSTORE_")

_WIDTH = 140


def main() -> int:
    """Run the demo and return the exit status."""
    arguments = _arguments()
    console = Console()
    # What is not a terminal has no width: wide enough for the tables, then.
    story = Story(console if console.is_terminal else Console(width=_WIDTH))
    _forget_own_settings()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C: in order
    scale = SHORT if arguments.short else FULL
    if arguments.seconds is not None:
        scale = replace(scale, seconds=arguments.seconds)
    with ExitStack() as closing:
        folder = arguments.keep or Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="chatstore-demo-")))
        folder.mkdir(parents=True, exist_ok=True)
        logging.basicConfig(filename=folder / "demo.log", level=logging.WARNING, force=True)
        try:
            stack = LocalStack(folder / "stack")
            closing.callback(stack.stop)
            story.tell("servers", "start on this machine, without containers, in a folder that is removed afterwards")
            stack.start(schema_sql(), progress=lambda line: story.tell("", line))
            return 0 if asyncio.run(play(scale, arguments.seed, folder, stack, story)) else 1
        except WalkError as error:
            story.say(f"The migration stopped: {error}", style="bold red")
            return 1
        except (ChatStoreError, AppFailedError, OSError) as error:
            story.say(f"The demo could not be run: {error}", style="bold red")
            return 2
        except KeyboardInterrupt:
            story.say("Stopped. The servers are ended, and nothing is left behind.")
            return 2


def _forget_own_settings() -> None:
    """Whoever runs the demo may have settings of real servers, which it must not touch."""
    for name in [name for name in os.environ if name.startswith(_OF_SETTINGS)]:
        del os.environ[name]


def _arguments() -> Namespace:
    parser = ArgumentParser(
        prog="python -m demo",
        description="Move a live app from Redis to Supabase and Chroma, on this machine, and see whether all arrived.",
        epilog="example: python -m demo --short",
    )
    parser.add_argument("--short", action="store_true", help="fewer users, less data, 20 seconds")
    parser.add_argument("--seconds", type=float, help="how long the app is served at each stage")
    parser.add_argument("--seed", type=int, default=1, help="decides what the users do")
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="work in this folder, and leave logs and ledgers there"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
