"""The program, called in this process or as one of its own, with no settings but those that a test gives."""

import asyncio
import json
import sys
from dataclasses import dataclass, field

import pytest
from typer.testing import CliRunner

from chatstore.cli import app
from chatstore.errors import UnavailableError
from chatstore.models import Kind, Side, utc_now
from chatstore.routing import Sides
from chatstore.settings import Settings
from chatstore.testing import MemoryChat, MemoryDocuments, MemoryProgress
from tests.processes import started

NAMES = {
    str(name)
    for info in Settings.model_fields.values()
    for name in getattr(info.validation_alias, "choices", [info.validation_alias])
}


@dataclass
class Outcome:
    """What a call of the program came to."""

    status: int
    out: str
    err: str

    @property
    def json(self):
        assert self.out.count("\n") == 1, "not one line on stdout"
        return json.loads(self.out)


def ended(process):
    """Wait for a process and return what it came to."""
    out, err = process.communicate(timeout=60)
    return Outcome(process.returncode, out, err)


class Program:
    """Calls `chatstore`, in a folder and with settings of its own."""

    def __init__(self, monkeypatch, folder):
        self._monkeypatch = monkeypatch
        self.folder = folder
        monkeypatch.chdir(folder)
        for name in NAMES:
            monkeypatch.delenv(name, raising=False)

    def set(self, **settings):
        for name, value in settings.items():
            self._monkeypatch.setenv(name, str(value))

    def __call__(self, *arguments, answer=None):
        result = CliRunner().invoke(app, list(map(str, arguments)), input=answer, prog_name="chatstore")
        return Outcome(result.exit_code, result.stdout, result.stderr)

    def started(self, *arguments):
        """Start it as a process of its own."""
        return started([sys.executable, "-m", "chatstore", *map(str, arguments)])

    def apart(self, *arguments):
        """Call it as a process of its own."""
        return ended(self.started(*arguments))

    def python(self, code):
        """Run a piece of Python as a process of its own."""
        return ended(started([sys.executable, "-c", code]))


@pytest.fixture
def program(monkeypatch, tmp_path):
    return Program(monkeypatch, tmp_path)


@dataclass
class MemoryBackends:
    """Stands where `Backends` stands, over stores in memory; either side may be away."""

    chat: Sides = field(default_factory=lambda: Sides(MemoryChat(Side.OLD), MemoryChat(Side.NEW)))
    documents: Sides = field(default_factory=lambda: Sides(MemoryDocuments(Side.OLD), MemoryDocuments(Side.NEW)))
    runs: dict = field(default_factory=lambda: {kind: MemoryProgress() for kind in Kind})
    away: set = field(default_factory=set)

    def __call__(self, _settings):
        return self

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        return None

    def has_old(self, _kind):
        return True

    def has_new(self, _kind):
        return True

    def _there(self, side, store):
        if side in self.away:
            raise UnavailableError(f"the {side} server does not answer: check that it runs")
        return store

    async def old_chat(self):
        return self._there(Side.OLD, self.chat.old)

    async def new_chat(self):
        return self._there(Side.NEW, self.chat.new)

    async def old_documents(self):
        return self._there(Side.OLD, self.documents.old)

    async def new_documents(self):
        return self._there(Side.NEW, self.documents.new)

    async def chat_sides(self):
        return Sides(await self.old_chat(), await self.new_chat())

    async def document_sides(self):
        return Sides(await self.old_documents(), await self.new_documents())

    def progress(self, kind):
        return self.runs[kind]

    def journals(self, kind=Kind.CHAT):
        sides = self.chat if kind is Kind.CHAT else self.documents
        return {side: sides[side].journal for side in Side}

    def remember(self, **fields):
        for journal in self.journals().values():
            asyncio.run(journal.remember(**fields))

    def state(self, side=Side.OLD):
        return asyncio.run(self.journals()[side].state())


@pytest.fixture
def memory(monkeypatch):
    backends = MemoryBackends()
    monkeypatch.setattr("chatstore.backends.Backends", backends)
    return backends


@pytest.fixture
def flag_file(program):
    path = program.folder / "flags.json"
    program.set(CHATSTORE_FLAG_FILE=path)
    return path


@pytest.fixture
def verified(memory, flag_file):
    memory.remember(journal_open=True, backfilled_at=utc_now(), verified_at=utc_now())
    return memory
