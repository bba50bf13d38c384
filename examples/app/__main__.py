"""`python -m examples.app`: the app, over the servers of the settings, or else over those of `chatstore up`."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import uvicorn

from chatstore import ConfigurationError
from chatstore.settings import ENV_FILE, load_settings
from examples.app.main import create_app
from examples.app.settings import LocalSupabase, load_app_settings

HOST = "127.0.0.1"
_FLAG_FILE = ".chatstore/flags.json"


def main() -> None:
    """Start what is needed, and serve until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m examples.app", description=__doc__)
    parser.add_argument("--port", type=int, default=8000, help="where to listen on this machine (default: %(default)s)")
    port = parser.parse_args().port
    try:
        if _is_local():
            _start_servers()
        settings = load_settings()
        app = create_app(settings, load_app_settings(), f"http://{HOST}:{port}", _local_secret())
    except ConfigurationError as error:
        sys.exit(f"error: {error}")
    print(f"the app is at http://{HOST}:{port} until Ctrl-C")
    if settings.flag_file is not None:
        print("move it from another shell:  chatstore stage chat dualwrite")
    uvicorn.run(app, host=HOST, port=port, log_level="warning")


def _is_local() -> bool:
    """Return whether the settings name no servers yet, or those of `chatstore up`: only these have such a secret."""
    return load_settings().redis_url is None or _local_secret() is not None


def _local_secret() -> str | None:
    secret = LocalSupabase().supabase_jwt_secret
    return None if secret is None else secret.get_secret_value()


def _start_servers() -> None:
    """Start the local servers, or find them running; they and their settings stay for the other commands."""
    _chatstore("up", "--detach", "--env", ENV_FILE)
    if load_settings().flag_file is None:
        with Path(ENV_FILE).open("a", encoding="utf-8") as file:
            file.write(f"CHATSTORE_FLAG_FILE={_FLAG_FILE}\n")
    flag_file = load_settings().flag_file
    if flag_file is not None and not flag_file.exists():
        for kind in ("chat", "documents"):
            _chatstore("stage", kind, "off")


def _chatstore(*arguments: str) -> None:
    command = [sys.executable, "-m", "chatstore", *arguments]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)  # noqa: S603 - our own words
    if done.returncode:
        sys.exit(done.returncode)


if __name__ == "__main__":
    main()
