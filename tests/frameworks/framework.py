"""A framework at work in its own environment, told by JSON lines what to do with its own public interface."""

from __future__ import annotations

import json
import os
import select
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.frameworks.environments import interpreter, modules_folder

_DRIVERS = Path(__file__).parent / "drivers"
_SECONDS = 60.0


@dataclass(frozen=True)
class Driver:
    """A program that drives a framework.

    Attributes:
        environment: The environment that it runs in.
        file: Its name in `drivers/`.
    """

    environment: str
    file: str


DRIVERS = {
    "langchain": Driver("langchain", "langchain_community_driver.py"),
    "langchain-redis": Driver("langchain-redis", "langchain_redis_driver.py"),
    "langchain-js": Driver("javascript", "langchain_js_driver.mjs"),
    "llamaindex": Driver("llamaindex", "llamaindex_driver.py"),
    "openai-agents": Driver("openai-agents", "openai_agents_driver.py"),
    "redisvl": Driver("redisvl", "redisvl_driver.py"),
    "vercel-kv": Driver("javascript", "vercel_kv_driver.mjs"),
    "agent-framework": Driver("agent-framework", "agent_framework_driver.py"),
    # What they wrote some versions ago, where that has another shape.
    "langchain-old": Driver("langchain-old", "langchain_community_driver.py"),
    "langchain-redis-old": Driver("langchain-redis-old", "langchain_redis_driver.py"),
    "llamaindex-old": Driver("llamaindex-old", "llamaindex_driver.py"),
    "redisvl-old": Driver("redisvl-old", "redisvl_sessions_driver.py"),
    "agent-framework-old": Driver("agent-framework-old", "agent_framework_store_driver.py"),
}


class FrameworkError(Exception):
    """The framework raised something, or its process ended; the text has its own account of that."""


class Framework:
    """One framework. What can be called are the functions of its driver in `drivers/`, which say what they take.

    Calls block, one at a time; it may be used from several threads.
    """

    def __init__(self, name: str) -> None:
        """Start its driver; build its environment first if need be."""
        driver = DRIVERS[name]
        command = [*interpreter(driver.environment), str(_DRIVERS / driver.file)]
        if driver.environment == "javascript":
            command.append(str(modules_folder()))
        self.name = name
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            command, env=_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self._errors: list[bytes] = []
        self._reader = threading.Thread(target=self._drain, daemon=True)
        self._reader.start()
        self._buffer = b""
        #: The versions of the framework's packages.
        self.packages: dict[str, str] = self._reply()

    def call(self, function: str, **arguments: Any) -> Any:
        """Call a function of the driver and return its result.

        Raises:
            FrameworkError: It raised; or the driver ended or did not answer within a minute.
        """
        with self._lock:
            line = json.dumps({"function": function, "arguments": arguments}) + "\n"
            try:
                self._stdin.write(line.encode())
                self._stdin.flush()
            except BrokenPipeError as error:
                raise self._ended() from error
            return self._reply()

    def stop(self) -> None:
        """End its process."""
        self._stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(10)
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe:
                pipe.close()

    @property
    def _stdin(self) -> Any:
        return self._process.stdin

    def _reply(self) -> Any:
        reply = json.loads(self._line())
        if "error" in reply:
            raise FrameworkError(f"{self.name}: {reply['error']}")
        return reply["result"]

    def _line(self) -> bytes:
        stdout = self._process.stdout
        assert stdout is not None
        while b"\n" not in self._buffer:
            ready, _, _ = select.select([stdout], [], [], _SECONDS)
            if not ready:
                self._process.kill()
                raise FrameworkError(f"{self.name} did not answer within {_SECONDS:.0f} s\n{self._said()}")
            read = os.read(stdout.fileno(), 1 << 20)
            if not read:
                raise self._ended()
            self._buffer += read
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _ended(self) -> FrameworkError:
        status = self._process.wait()
        self._reader.join(1)
        return FrameworkError(f"the driver of {self.name} ended with {status}\n{self._said()}")

    def _said(self) -> str:
        return b"".join(self._errors[-50:]).decode(errors="replace")

    def _drain(self) -> None:
        assert self._process.stderr is not None
        self._errors.extend(self._process.stderr)


def _environment() -> dict[str, str]:
    """Return this process's variables without those that would show a framework our packages, or a way out."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(
            ("PYTHON", "VIRTUAL_ENV", "OPENAI_", "LANGCHAIN_", "LANGSMITH_", "REDIS_", "KV_", "NODE_OPTIONS")
        )
    }
    return {**kept, "HF_HUB_OFFLINE": "1", "LANGSMITH_TRACING": "false", "OPENAI_AGENTS_DISABLE_TRACING": "1"}
