"""What is needed to drive chatstore's main paths with canaries in them, and to see all that is said meanwhile."""

import logging
import traceback
import warnings

import chromadb
import pytest
import redis

from tests.secrets.canaries import Canaries

_SHOWN = 300


@pytest.fixture(scope="package", autouse=True)
def chroma_has_been_used(chroma_url):
    """Its client's first use takes a while, for which no app here is to wait."""
    chromadb.HttpClient(chroma_url).heartbeat()


@pytest.fixture
def canaries():
    return Canaries()


class Heard(logging.Handler):
    """All that was logged by anybody, at any level, as a formatter writes it: with tracebacks."""

    def __init__(self):
        super().__init__(logging.NOTSET)
        self.lines = []
        self.warned = []

    def emit(self, record):
        self.lines.append((record.name, self.format(record)))

    def add(self, where, text):
        """Note what was said elsewhere than in the log."""
        self.lines.append((where, text))

    def error(self, where, error):
        """Note all that an error tells to whoever prints it, those behind it included."""
        self.add(where, "".join(traceback.format_exception(error)))
        seen = set()
        while error is not None and id(error) not in seen:
            seen.add(id(error))
            self.add(where, "\n".join([str(error), repr(error), *getattr(error, "__notes__", ())]))
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)

    def leaks(self, canaries, *, but=()):
        """Return what was said with a canary in it: which, by whom, and the line."""
        found = {}
        for name, text in (*self.lines, *(("warning", str(warning.message)) for warning in self.warned)):
            for what in canaries.found_in(text):
                if what not in but:
                    line = next((line for line in text.splitlines() if what in canaries.found_in(line)), text)
                    found[what, name] = line[:_SHOWN]
        return sorted((*where, line) for where, line in found.items())


@pytest.fixture
def heard():
    """Everything that is logged or warned of during the test, by all libraries."""
    handler, root = Heard(), logging.getLogger()
    levels = {logger: logger.level for logger in (root, logging.getLogger("httpcore"))}
    root.addHandler(handler)
    for logger in levels:
        logger.setLevel(logging.DEBUG)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            handler.warned = warned
            yield handler
        finally:
            root.removeHandler(handler)
            for logger, level in levels.items():
                logger.setLevel(level)


@pytest.fixture
def guarded_redis(redis_database, namespace, canaries):
    """The URL of an empty database for a user with a password."""
    user, password = namespace, canaries.new("redis password")
    with redis.Redis.from_url(redis_database) as client:
        client.acl_setuser(
            user, enabled=True, reset=True, passwords=[f"+{password}"], keys=["*"], channels=["*"], categories=["+@all"]
        )
        yield redis_database.replace("redis://", f"redis://{user}:{password}@")
        client.acl_deluser(user)
