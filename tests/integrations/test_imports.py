"""What belongs to an extra is imported by nobody but who uses it, and its absence is told with the extra's name."""

import subprocess
import sys

import pytest

from tests.integrations.extras import EXTRAS, INTEGRATIONS, LIBRARIES

OURS = ["chatstore", "chatstore.app", "chatstore.sync", "chatstore.cli", "chatstore.testing", "chatstore.integrations"]


def test_every_extra_is_looked_at():
    assert sorted(LIBRARIES) == EXTRAS


def test_what_every_app_imports_needs_no_extra():
    every = sorted({library for libraries in LIBRARIES.values() for library in libraries} - {"platformdirs", "psutil"})
    code = f"import sys, {', '.join(OURS)}\nprint([name for name in {every} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("module", "extra"), INTEGRATIONS.items())
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
