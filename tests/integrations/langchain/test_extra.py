"""LangChain is imported by its integration alone, which says what to install where it is missing."""

import subprocess
import sys

CODE = """
import importlib, sys
import chatstore, chatstore.app, chatstore.sync
print([name for name in sys.modules if "langchain" in name])
sys.modules["langchain_core"] = None
for module in ("langchain_history", "langchain_documents"):
    try:
        importlib.import_module(f"chatstore.integrations.{module}")
    except ImportError as error:
        print(error)
"""


def test_only_the_integration_needs_langchain_and_it_says_what_to_install():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    missing = "LangChain is not installed: pip install 'chatstore[langchain]'"
    assert done.stdout.splitlines() == ["[]", missing, missing]
