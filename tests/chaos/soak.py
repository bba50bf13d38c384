"""`make soak`: looks longer than `make test` does for a schedule or a kill that loses something.

Without an argument: 100,000 schedules in memory, and 200 kills of processes on real servers. With a number of minutes:
round after round, each with a seed of its own, until they are over. A seed that is printed replays its round:
`CHATSTORE_SEED=… make soak`.
"""

import os
import random
import subprocess
import sys
import time

SUITES = ("tests/property/test_router_machine.py", "tests/chaos")
SCHEDULES, KILLS = 100_000, 210
SCHEDULES_A_ROUND, KILLS_A_ROUND = 5_000, 70


def main(minutes):
    if not minutes:
        return soak(SCHEDULES, KILLS)
    status, end = 0, time.monotonic() + 60 * float(minutes)
    while status == 0 and time.monotonic() < end:
        status = soak(SCHEDULES_A_ROUND, KILLS_A_ROUND)
    return status


def soak(schedules, kills):
    """Run the suites with one seed; return pytest's exit status."""
    given = os.environ.get("CHATSTORE_SEED", "random")
    seed = random.SystemRandom().getrandbits(32) if given == "random" else given
    chosen = {"CHATSTORE_SEED": str(seed), "CHATSTORE_SCHEDULES": str(schedules), "CHATSTORE_KILLS": str(kills)}
    print(" ".join(f"{name}={value}" for name, value in chosen.items()), flush=True)
    # Schedules take as long as they take; a process that hangs is given up by the tests themselves.
    command = [sys.executable, "-m", "pytest", "--timeout=0", "--exitfirst", *SUITES]
    return subprocess.run(command, env={**os.environ, **chosen}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:] or [None]))
