"""The settings with which an application reaches the local stack."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class StackSettings:
    """Where the local servers are, and the keys to them. Its `repr` shows no key.

    Attributes:
        redis_url: The Redis-compatible server, database 0.
        supabase_url: Supabase's API.
        supabase_publishable_key: The key that an app's users may see.
        supabase_secret_key: The key that passes row-level security.
        supabase_db_url: The Postgres database below Supabase, as its superuser.
        supabase_jwt_secret: What users' tokens are signed with (HS256); see `user_token`.
        chroma_url: The Chroma server.
    """

    redis_url: str
    supabase_url: str
    supabase_publishable_key: str = field(repr=False)
    supabase_secret_key: str = field(repr=False)
    supabase_db_url: str = field(repr=False)
    supabase_jwt_secret: str = field(repr=False)
    chroma_url: str

    def environment(self) -> dict[str, str]:
        """Return the same settings under the names of environment variables."""
        return {
            "REDIS_URL": self.redis_url,
            "SUPABASE_URL": self.supabase_url,
            "SUPABASE_PUBLISHABLE_KEY": self.supabase_publishable_key,
            "SUPABASE_SECRET_KEY": self.supabase_secret_key,
            "SUPABASE_DB_URL": self.supabase_db_url,
            "SUPABASE_JWT_SECRET": self.supabase_jwt_secret,
            "CHROMA_URL": self.chroma_url,
        }
