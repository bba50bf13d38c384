"""What the suites ask for and some store does not do yet."""

import pytest

_TEST = "test_the_id_of_a_message_that_has_expired_is_free_for_a_replacement"


def message_expiry_in_redis(request, name):
    """Expect one test of messages' expiry to fail where Redis is under it. Remove this, with its two calls, then."""
    if request.node.originalname != _TEST:
        return
    if name.startswith("redis"):
        request.applymarker(pytest.mark.xfail(strict=True, reason="Redis takes an expired message's id for used"))
    elif name == "servers":
        pytest.skip("Redis takes an expired message's id for used")
