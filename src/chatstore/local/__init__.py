"""Real local servers without containers: a Redis-compatible server, Supabase on Postgres, and Chroma.

Needs the extra `local`. Everything comes from package registries; nothing is installed outside the virtual environment
but one folder of node modules in the user's cache.

    with LocalStack(".chatstore") as stack:
        print(stack.settings.redis_url)
"""

from __future__ import annotations

from chatstore.local.keys import user_token
from chatstore.local.settings import StackSettings
from chatstore.local.stack import LocalStack

__all__ = ["LocalStack", "StackSettings", "user_token"]
