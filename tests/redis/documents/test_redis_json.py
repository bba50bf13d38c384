"""Numbers in RedisJSON: what the server makes of them is what was written, as far as it can hold it."""

import json
import math
import random
import struct

import pytest

from chatstore.redis.layouts.redis_json import as_redis_reads, json_for_redis, number_read


def bits(number):
    return struct.pack("<d", number) if isinstance(number, float) else number


@pytest.fixture
def numbers():
    """Doubles of all sizes, and the shortest texts of float32."""
    chance = random.Random(7)
    drawn = [struct.unpack("<d", chance.randbytes(8))[0] for _ in range(2000)]
    drawn += [chance.gauss(0, 1) for _ in range(2000)]
    drawn += [5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, -0.0, 0.1, 3.4e38, 1e22, 1e23]
    return [number for number in drawn if math.isfinite(number)]


def test_the_server_reads_numbers_as_it_is_said_here(app, numbers):
    app.execute_command("JSON.SET", "d", "$", json.dumps(numbers))
    read = json.loads(app.execute_command("JSON.GET", "d"))
    assert list(map(bits, read)) == [bits(number_read(repr(number))) for number in numbers]
    assert read != numbers, "else there is no need for any of this"


def test_what_is_written_is_what_the_server_gives(app, numbers):
    numbers += [-(2**63), 2**64 - 1, 2**64, -(2**63) - 1, 10**30, 0, True, None]
    app.execute_command("JSON.SET", "d", "$", json_for_redis({"a": numbers}))
    first = app.execute_command("JSON.GET", "d")
    read = json.loads(first)["a"]
    assert list(map(bits, read)) == list(map(bits, as_redis_reads(numbers)))
    lost = [number for number, found in zip(numbers, read, strict=True) if bits(number) != bits(found)]
    assert len(lost) < len(numbers) / 200
    # What it gave once it gives for ever, written again and again.
    app.execute_command("JSON.SET", "d", "$", json_for_redis({"a": read}))
    assert app.execute_command("JSON.GET", "d") == first
