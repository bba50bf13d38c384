"""The app's own settings, beside chatstore's: from the environment, then from `.env.local`."""

from __future__ import annotations

from typing import Literal

from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from chatstore import ConfigurationError
from chatstore.settings import ENV_FILE


class AppSettings(BaseSettings):
    """What answers, what embeds, where users log in, and how large a request may be.

    Attributes:
        model_url: An OpenAI-compatible API, as `https://api.openai.com/v1`; without one, the app answers by itself.
        model_name: Which of its models answers.
        model_key: The key to it.
        embedder: What makes embeddings: see `embedder`.
        sign_in_url: Where users log in, when CHATSTORE_TOKEN_ISSUER is set.
        upload_limit: The most bytes of a request, uploads among them.
    """

    model_config = SettingsConfigDict(env_file=ENV_FILE, env_prefix="APP_", env_ignore_empty=True, extra="ignore")

    model_url: str | None = None
    model_name: str = "gpt-4o-mini"
    model_key: SecretStr | None = None
    embedder: Literal["words", "wordllama"] = "words"
    sign_in_url: str | None = None
    upload_limit: int = 5_000_000


class LocalSupabase(BaseSettings):
    """What only the Supabase of `chatstore up` has: the secret by which it knows users."""

    model_config = SettingsConfigDict(env_file=ENV_FILE, env_ignore_empty=True, extra="ignore")

    supabase_jwt_secret: SecretStr | None = None


def load_app_settings() -> AppSettings:
    """Read the settings.

    Raises:
        ConfigurationError: One is malformed.
    """
    try:
        return AppSettings()
    except ValidationError as error:
        lines = [f"APP_{problem['loc'][0]}".upper() + f": {problem['msg']}" for problem in error.errors()]
        raise ConfigurationError("\n".join(lines)) from None
