"""A net below the whole suite: a test in which anybody logs a key or a password of the local servers fails.

Every log record of this process is looked at, whatever its level and whoever wrote it: its message with its arguments.
Not seen are tracebacks that are logged with it, what httpcore tells of each step of a request (that alone would cost more
than all else), what other processes log (workers, commands that are called apart), what is printed, and the content of
records: `tests/secrets` looks at these.
"""

import logging
import re
from dataclasses import astuple, dataclass, field

import pytest

from chatstore.local.keys import Keys

_ALL = 1
"""The root logger's level while the suite runs: below any that a test sets. Who asks for more still gets it."""

# A secret key, and a URL with a password, whosever they are; not the URLs by which messages say what one looks like.
_SHAPES = r"sb_secret_[0-9a-f]{32}|://(?!user:password@)[^/ @:\[]*:[^/ @\[]+@"


@dataclass
class Net:
    """What is looked for, and what was found since it was last asked."""

    secrets: set = field(default_factory=set)
    found: list = field(default_factory=list)
    pattern: re.Pattern = re.compile(_SHAPES)

    def know(self, keys):
        """Look for the keys of one more stack."""
        new = {str(key) for key in astuple(keys)} - self.secrets
        if new:
            self.secrets |= new
            self.pattern = re.compile("|".join([_SHAPES, *map(re.escape, self.secrets)]))

    def look_at(self, record):
        text = record.getMessage()
        if self.pattern.search(text):
            self.found.append(f"{record.name} logged a secret: {self.pattern.sub('***', text)[:300]}")

    def take(self):
        """Return what was found, and forget it."""
        found, self.found = self.found, []
        return "\n".join(dict.fromkeys(found))


NET = Net()
_handle = logging.Logger.handle
_made = Keys.__init__


def _looked_at(logger, record):
    NET.look_at(record)
    # Who did not ask for records of this level does not get them.
    level = logger.getEffectiveLevel()
    if record.levelno >= (logging.WARNING if level == _ALL else level):
        _handle(logger, record)


def _known(keys, **given):
    _made(keys, **given)
    NET.know(keys)


def pytest_configure(config):
    logging.Logger.handle = _looked_at
    logging.getLogger().setLevel(_ALL)
    logging.getLogger("httpcore").setLevel(logging.WARNING)
    # Those that are made, and those that are read from a stack's folder.
    Keys.__init__ = _known


def pytest_unconfigure(config):
    logging.Logger.handle = _handle
    logging.getLogger().setLevel(logging.WARNING)
    logging.getLogger("httpcore").setLevel(logging.NOTSET)
    Keys.__init__ = _made


def _checked():
    outcome = yield
    if told := NET.take():
        pytest.fail(told, pytrace=False)
    return outcome


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    return (yield from _checked())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    return (yield from _checked())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item):
    return (yield from _checked())
