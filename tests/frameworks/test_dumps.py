"""The dumps are what the frameworks write today, and putting one back loses nothing."""

import pytest

from tests.frameworks import dumps
from tests.frameworks.scenarios import SCENARIOS


@pytest.fixture
def client(search_redis):
    with dumps.connect(search_redis) as client:
        yield client


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_framework_still_writes_what_its_dump_has(name, framework, search_redis, client):
    written = dumps.take(client, lambda: SCENARIOS[name](framework, search_redis))
    assert written.like() == dumps.load(name).like()


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_dump_that_is_put_into_a_redis_is_that_dump_again(name, client):
    dump = dumps.load(name)

    def restore():
        dump.restore(client)
        return dump.packages

    taken = dumps.take(client, restore)
    assert taken.indexes == dump.indexes
    assert [(each.key, each.kind, each.ttl) for each in taken.keys] == [
        (each.key, each.kind, each.ttl) for each in dump.keys
    ]
    for one, other in zip(taken.keys, dump.keys, strict=True):
        if one.kind == "vectorset":  # whose server keeps no vector to the last bit
            assert vectors(one) == [(name, pytest.approx(vector, rel=1e-5)) for name, vector in vectors(other)]
            assert lengths(one) == pytest.approx(lengths(other), rel=5e-3)
            assert attributes(one) == attributes(other)
        else:
            assert one.value == other.value


def vectors(key):
    return [(each["name"], each["vector"]) for each in key.value["elements"]]


def lengths(key):
    """A binary set keeps them beside the signs; a quantised one that gets its own vector back finds another one."""
    return [each["raw"][2] for each in key.value["elements"]]


def attributes(key):
    return key.value["quantisation"], [(each["name"], each["attributes"]) for each in key.value["elements"]]
