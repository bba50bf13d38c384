"""LangChain is imported by its integration alone, which says what to install where it is missing."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["langchain_history", "langchain_documents"])
def test_without_langchain_it_is_told_what_to_install(module):
    code = f"import sys; sys.modules['langchain_core'] = None; import chatstore.integrations.{module}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip().endswith("ImportError: LangChain is not installed: pip install 'chatstore[langchain]'")


def test_chatstore_itself_imports_no_langchain():
    code = "import sys, chatstore, chatstore.app, chatstore.sync; print([n for n in sys.modules if 'langchain' in n])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
