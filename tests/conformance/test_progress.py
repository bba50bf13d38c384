"""Every progress record."""

import pytest

from chatstore.testing.progress import ProgressSuite
from tests.conformance.registry import named

FACTORIES = named("PROGRESS")


@pytest.fixture(params=sorted(FACTORIES))
async def progress(request):
    async with FACTORIES[request.param](request) as record:
        yield record


class TestProgress(ProgressSuite):
    pass
