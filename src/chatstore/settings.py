"""The settings: from the environment, then from `.env.local`; checked once, and each named with what it is for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from chatstore.errors import ConfigurationError
from chatstore.models import RawKept, Stage

ENV_FILE = ".env.local"

_REDIS_SCHEMES = (
    *(scheme + of for of in ("", "+sentinel", "+cluster") for scheme in ("redis", "rediss")),
    "unix",
)
_HTTP_SCHEMES = ("http", "https")
_POSTGRES_SCHEMES = ("postgres", "postgresql")


class Settings(BaseSettings):
    """Where the servers are, and how chatstore uses them. Whatever may hold a password or a key is a `SecretStr`.

    Attributes: see each field's description; an empty value counts as none.
    """

    model_config = SettingsConfigDict(
        env_file=ENV_FILE, env_ignore_empty=True, extra="ignore", frozen=True, populate_by_name=True
    )

    redis_url: SecretStr | None = Field(
        None, validation_alias="REDIS_URL", description="the Redis that holds the app's data now"
    )
    layout: str = Field(
        "hash", validation_alias="CHATSTORE_LAYOUT", description="how the app lays its data out in Redis"
    )
    chat_layout: str | None = Field(
        None,
        validation_alias="CHATSTORE_CHAT_LAYOUT",
        description="how the app lays its chats out in Redis, where that is another layout than CHATSTORE_LAYOUT",
    )
    document_layout: str | None = Field(
        None,
        validation_alias="CHATSTORE_DOCUMENT_LAYOUT",
        description="how the app lays its documents out in Redis, where that is another layout than CHATSTORE_LAYOUT",
    )
    chat_prefix: str | None = Field(
        None,
        validation_alias="CHATSTORE_CHAT_PREFIX",
        description="what the keys of the sessions begin with, where that is not the layout's default",
    )
    document_prefix: str | None = Field(
        None,
        validation_alias="CHATSTORE_DOCUMENT_PREFIX",
        description="what the keys of the documents begin with, where that is not the layout's default",
    )
    chat_index: str | None = Field(
        None, validation_alias="CHATSTORE_CHAT_INDEX", description="the name of the search index over the messages"
    )
    document_index: str | None = Field(
        None, validation_alias="CHATSTORE_DOCUMENT_INDEX", description="the name of the search index over the documents"
    )
    owners: str | None = Field(
        None,
        validation_alias="CHATSTORE_OWNERS",
        description="whose a session is, where its layout does not say: key:, csv:, field:, all: or call:, and what",
    )
    document_owners: str | None = Field(
        None,
        validation_alias="CHATSTORE_DOCUMENT_OWNERS",
        description="whose a document is, where its layout does not say: key:, csv:, field:, all: or call:, and what",
    )
    users: str | None = Field(
        None,
        validation_alias="CHATSTORE_USERS",
        description="what the users' ids in Redis have become: csv:, and a file with the columns old,new",
    )
    supabase_url: str | None = Field(
        None, validation_alias="SUPABASE_URL", description="the Supabase project that takes sessions and messages"
    )
    supabase_publishable_key: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("SUPABASE_PUBLISHABLE_KEY", "SUPABASE_ANON_KEY"),
        description="the Supabase project's public key",
    )
    supabase_secret_key: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("SUPABASE_SECRET_KEY", "SUPABASE_SERVICE_ROLE_KEY"),
        description="the Supabase project's secret key, for the migration and for trusted servers",
    )
    supabase_db_url: SecretStr | None = Field(
        None,
        validation_alias="SUPABASE_DB_URL",
        description="the Supabase project's Postgres database, to apply the schema and to migrate chats faster",
    )
    token_issuer: str | None = Field(
        None,
        validation_alias="CHATSTORE_TOKEN_ISSUER",
        description="who signs users' tokens: Clerk's Frontend API URL, or https://….supabase.co/auth/v1",
    )
    token_parties: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        validation_alias="CHATSTORE_TOKEN_PARTIES",
        description="which frontends' tokens are taken: their origins, as Clerk writes them into azp, by commas",
    )
    token_audience: str | None = Field(
        None,
        validation_alias="CHATSTORE_TOKEN_AUDIENCE",
        description="which audience users' tokens are for (Supabase Auth's: authenticated), where they name one",
    )
    chroma_url: SecretStr | None = Field(
        None, validation_alias="CHROMA_URL", description="the Chroma server that takes documents"
    )
    chroma_path: Path | None = Field(
        None, validation_alias="CHROMA_PATH", description="the folder of an embedded Chroma that takes documents"
    )
    chroma_api_key: SecretStr | None = Field(
        None, validation_alias="CHROMA_API_KEY", description="the key of the Chroma Cloud that takes documents"
    )
    chroma_tenant: str | None = Field(
        None, validation_alias="CHROMA_TENANT", description="the tenant in Chroma Cloud, or on the Chroma server"
    )
    chroma_database: str | None = Field(
        None, validation_alias="CHROMA_DATABASE", description="the database in Chroma Cloud, or on the Chroma server"
    )
    collections: Literal["user", "shards", "one"] = Field(
        "user",
        validation_alias="CHATSTORE_COLLECTIONS",
        description="how documents are spread over Chroma's collections: user, shards or one",
    )
    quarantine: RawKept = Field(
        RawKept.PLAIN,
        validation_alias="CHATSTORE_QUARANTINE",
        description="how the raw data of records in quarantine is kept: plain, encrypted or hash",
    )
    quarantine_key: SecretStr | None = Field(
        None,
        validation_alias="CHATSTORE_QUARANTINE_KEY",
        description="the key that encrypts the raw data of records in quarantine; `chatstore quarantine key` makes one",
    )
    stage: Stage = Field(
        Stage.OFF,
        validation_alias="CHATSTORE_STAGE",
        description="the stage where neither a flag nor a record says another",
    )
    flag_file: Path | None = Field(
        None,
        validation_alias="CHATSTORE_FLAG_FILE",
        description="the flag file that `chatstore stage` writes, where there is no flag service",
    )

    @field_validator("redis_url", "supabase_db_url", "chroma_url", "supabase_url", "token_issuer")
    @classmethod
    def _is_url(cls, value: SecretStr | str | None, info: object) -> SecretStr | str | None:
        if value is not None:
            text = value.get_secret_value() if isinstance(value, SecretStr) else value
            name = info.field_name  # type: ignore[attr-defined] # pydantic's ValidationInfo
            _check_url(text, _SCHEMES[name])
            if name == "supabase_url" and "@" in text:
                raise ValueError("it has a user or a password in it, which would take the key's place: leave it out")
        return value

    @field_validator("token_parties", mode="before")
    @classmethod
    def _are_parties(cls, value: object) -> object:
        return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value

    @field_validator("flag_file", "chroma_path")
    @classmethod
    def _is_path(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser()


_SCHEMES = {
    "redis_url": _REDIS_SCHEMES,
    "supabase_url": _HTTP_SCHEMES,
    "supabase_db_url": _POSTGRES_SCHEMES,
    "chroma_url": _HTTP_SCHEMES,
    "token_issuer": _HTTP_SCHEMES,
}


def load_settings(**overrides: object) -> Settings:
    """Read the settings from the environment and `.env.local`; `overrides`, by field name, win.

    Raises:
        ConfigurationError: A setting is malformed; the message names each such with what it is for.
    """
    try:
        return Settings(**overrides)  # type: ignore[arg-type] # pydantic checks what it is given
    except ValidationError as error:
        raise ConfigurationError("\n".join(_explained(error))) from None  # pydantic's own text would show the value


def setting_name(field: str) -> str:
    """Return the environment variable of a field."""
    alias = Settings.model_fields[field].validation_alias
    return str(alias.choices[0]) if isinstance(alias, AliasChoices) else str(alias)


def require(settings: Settings, *fields: str) -> None:
    """Check that some settings are there.

    Raises:
        ConfigurationError: It names each that is missing with what it is for.
    """
    missing = [field for field in fields if getattr(settings, field) is None]
    if missing:
        lines = [f"{setting_name(field)} is not set: it is {_purpose(field)}" for field in missing]
        raise ConfigurationError("\n".join([*lines, f"Set it in the environment or in {ENV_FILE}."]))


def _purpose(field: str) -> str:
    return Settings.model_fields[field].description or ""


def _explained(error: ValidationError) -> list[str]:
    by_alias = {setting_name(field): field for field in Settings.model_fields}
    lines = []
    for problem in error.errors(include_input=False, include_url=False):
        name = str(problem["loc"][0])
        field = by_alias.get(name, name)
        reason = problem["msg"].removeprefix("Value error, ")
        purpose = _purpose(field) if field in Settings.model_fields else "no setting of chatstore"
        lines.append(f"{name} is malformed: {reason}. It is {purpose}.")
    return lines


def _check_url(text: str, schemes: tuple[str, ...]) -> None:
    wanted = " or ".join(f"{scheme}://" for scheme in schemes)
    try:
        # Of several hosts, as of a cluster, the first one.
        parts = urlsplit(re.sub(r",[^@/?#]*(?=$|[/?#])", "", text))
        complete = parts.scheme in schemes and (parts.hostname or parts.scheme == "unix")
        _ = parts.port
    except ValueError:
        complete = False
    if not complete:
        raise ValueError(f"it should be a URL that begins with {wanted} and names a host")
