"""Stacks whose servers may be killed, and the seed of what happens to them."""

import os
import random

import pytest

from chatstore.local import LocalStack
from chatstore.local.valkey import Valkey
from chatstore.supabase.schema import schema_sql

DEFAULT_SEED = 20261124


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
    """Decides who is killed when, and who flips to which stage; the same in every run unless `CHATSTORE_SEED` says."""
    given = os.environ.get("CHATSTORE_SEED", DEFAULT_SEED)
    seed = random.SystemRandom().getrandbits(32) if given == "random" else int(given)
    print(f"CHATSTORE_SEED={seed}")
    return seed
