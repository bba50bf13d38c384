"""What the router costs a call, in time of its caller.

    python -m benchmarks.router

**Over stores that do nothing**, beside the migrators of LaunchDarkly's Python SDK, the blocking and the async one, with
its offline test data and functions that do nothing. Flag evaluation is included in both: ours asks OpenFeature's
in-memory provider at every call, theirs its own client. At `shadow` and `live` their reads go to both stores at once,
and the caller waits for the slower one.

**Over a Redis on this machine**: an append at `dualwrite` beside the same append at `off`, and a shadow read beside a
plain one, when the second side answers 200 ms late, and when it refuses at once. `off` stands there twice: while a
migration is under way each write leaves a mark, before one it does not.

**By the blocking facade**, over such a Redis: beside the same script sent by the blocking `redis` client, with the same
decoding of what messages it reads, and 60 µs.

Each figure is the median over rounds, in which the contenders take turns.
"""

from __future__ import annotations

import sys

from benchmarks import router_blocking, router_peer, router_redis
from benchmarks.results import Row, show


def measure(*, calls: int = 20_000) -> list[Row]:
    """Return what the router costs.

    Args:
        calls: How many calls there are in each cell over stores that do nothing; half as many over Redis.
    """
    return [
        *router_peer.measure(calls=calls),
        *router_redis.measure(calls=calls // 2),
        *router_blocking.measure(calls=calls // 2),
    ]


if __name__ == "__main__":
    rows = measure()
    show(rows)
    sys.exit(0 if all(row.met for row in rows) else 1)
