"""A stack whose servers may be killed, shared by the tests of this folder one after the other."""

import os
import random

import pytest

from chatstore.local import LocalStack
from chatstore.local.valkey import Valkey
from chatstore.supabase.schema import schema_sql


class DurableValkey(Valkey):
    """Valkey that has synced every write before it answers."""

    def _command(self):
        return [*super()._command(), "--appendfsync", "always"]


@pytest.fixture
def durable_stack(new_data_folder):
    """A stack of the test's own: what it has answered survives the death of any server."""
    stack = LocalStack(new_data_folder())
    stack.redis = DurableValkey(stack._state)
    stack.start(schema_sql())
    yield stack
    stack.stop()


@pytest.fixture
def chaos_seed():
    """Decides who is killed when, and who flips to which stage; `CHATSTORE_SEED` replays it."""
    given = os.environ.get("CHATSTORE_SEED", "random")
    seed = random.SystemRandom().getrandbits(32) if given == "random" else int(given)
    print(f"CHATSTORE_SEED={seed}")
    return seed
