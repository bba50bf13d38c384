"""The settings of an app on a stack of a test's own."""

from chatstore.settings import load_settings


def settings_for(stack):
    """Return what an app needs to reach the servers of a stack, and nothing from this machine's environment file."""
    at = stack.settings
    return load_settings(
        _env_file=None,
        redis_url=at.redis_url,
        supabase_url=at.supabase_url,
        supabase_secret_key=at.supabase_secret_key,
        chroma_url=at.chroma_url,
    )
