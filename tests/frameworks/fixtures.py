"""The fixture by which tests use the frameworks themselves."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest

from tests.frameworks.framework import Framework

_BUILD_SECONDS = 600


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line(
        "markers", "frameworks: uses a framework's own packages; `-m 'not frameworks'` leaves these tests out"
    )


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that use the fixture; what is built first may take its time."""
    for item in items:
        if "framework" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.frameworks)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(_BUILD_SECONDS))


@pytest.fixture(scope="session")
def framework() -> Iterator[Callable[[str], Framework]]:
    """A function that gives a framework by its name, as in `framework("langchain").call("read_chat", url=…, session=…)`.

    Its environment is built when it is first needed, and its driver runs until the session ends.
    """
    running: dict[str, Framework] = {}

    def named(name: str) -> Framework:
        if name.endswith("-old") and sys.version_info >= (3, 13):
            pytest.skip("the old packages were not built for this Python")
        if name not in running:
            running[name] = Framework(name)
        return running[name]

    yield named
    for each in running.values():
        each.stop()
