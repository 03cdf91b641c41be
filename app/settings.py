"""The settings, read once from the environment or `.env`."""

import re
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Self

from limits import parse_many
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from redis.asyncio.connection import parse_url

from app.database.urls import DatabaseURL, parse_database_url, sqlite_url
from app.errors import ConfigurationError

_MINIMUM_SECRET_BYTES = 32
_MINIMUM_DISTINCT_CHARACTERS = 12
_CENTURY_SECONDS = 36_500 * 86_400
_LANE_KIB = 8


class Environment(StrEnum):
    """Where the service runs."""

    DEVELOPMENT = "development"
    TESTING = "testing"
    PRODUCTION = "production"


def _matching(pattern: str, otherwise: str) -> AfterValidator:
    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(otherwise)
        return value

    return AfterValidator(check)


def _as_network(value: str | IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    try:
        return ip_network(value)
    except ValueError:
        raise ValueError(
            "takes addresses and networks, such as 10.0.0.1 or 10.0.0.0/8, but not 10.0.0.1/8, "
            "which has bits beyond its prefix"
        ) from None


Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(_as_network)]

HostPattern = Annotated[
    str,
    StringConstraints(to_lower=True),
    _matching(r"[\w.*?-]+", "takes names without scheme and port, such as api.example.com or *.example.org"),
]

Origin = Annotated[
    str,
    StringConstraints(to_lower=True),
    _matching(r"\*|null|(\*|[a-z][a-z0-9+.-]*://)[^/?#@\s]+", "takes origins, such as https://app.example.com"),
]


class Settings(BaseSettings):
    """The service's settings; `.env.example` lists each with its default."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", env_ignore_empty=True, hide_input_in_errors=True)

    environment: Environment = Environment.DEVELOPMENT

    database_url: str | None = None
    development_database_url: str | None = None
    testing_database_url: str | None = None
    production_database_url: str | None = None
    database_pool_size: int = Field(default=10, ge=1, le=1000)
    database_timeout_seconds: int = Field(default=5, ge=1, le=300)

    redis_url: str | None = None

    data_dir: Path = Path("data")

    jwt_secret: SecretStr | None = None
    jwt_previous_secrets: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    access_token_seconds: int = Field(default=900, ge=1, le=_CENTURY_SECONDS)
    session_seconds: int = Field(default=30 * 86_400, ge=60, le=_CENTURY_SECONDS)

    argon2_memory_kib: int = Field(default=19_456, ge=_LANE_KIB, le=4 * 1024 * 1024)
    argon2_iterations: int = Field(default=2, ge=1, le=1000)
    argon2_parallelism: int = Field(default=1, ge=1, le=255)
    password_threads: int = Field(default=2, ge=1, le=64)
    password_queue_limit: int = Field(default=64, ge=0)

    event_retention_days: int = Field(default=30, ge=1, le=36_500)
    prune_seconds: int = Field(default=300, ge=1, le=_CENTURY_SECONDS)

    auth_rate_limit: str = "100/minute"
    failure_limits: str = "5/minute;10/15minute;20/hour"
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = ()
    allowed_hosts: Annotated[tuple[HostPattern, ...], NoDecode] = ()
    webhook_allowed_networks: Annotated[tuple[Network, ...], NoDecode] = ()
    cors_allowed_origins: Annotated[tuple[Origin, ...], NoDecode] = ()

    access_log_seconds: float = Field(default=1.0, ge=0)

    cache_max_bytes: int = Field(default=64 * 1024 * 1024, ge=0)
    cache_seconds: int = Field(default=300, ge=1, le=300)

    @field_validator("database_url", "development_database_url", "testing_database_url", "production_database_url")
    @classmethod
    def _is_supported_database(cls, value: str | None) -> str | None:
        if value is not None:
            parse_database_url(value)
        return value

    @field_validator("redis_url")
    @classmethod
    def _is_redis(cls, value: str | None) -> str | None:
        try:
            if value is not None:
                parse_url(value)
        except ValueError:
            raise ValueError("is no Redis URL, such as redis://:password@host:6379/0") from None
        return value

    @field_validator(
        "jwt_previous_secrets",
        "trusted_proxies",
        "allowed_hosts",
        "cors_allowed_origins",
        "webhook_allowed_networks",
        mode="before",
    )
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(word.strip() for word in value.split(",") if word.strip()) if isinstance(value, str) else value

    @field_validator("trusted_proxies")
    @classmethod
    def _are_proxies(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if value != ("*",):
            for word in value:
                _as_network(word)
        return value

    @field_validator("auth_rate_limit", "failure_limits")
    @classmethod
    def _is_limit(cls, value: str) -> str:
        try:
            windows = parse_many(value)
        except ValueError:
            raise ValueError("is no limit, such as 5/minute or 5/minute;20/hour") from None
        if not all(window.amount for window in windows):
            raise ValueError("must allow at least one attempt, such as 1/minute")
        return value

    @model_validator(mode="after")
    def _production_brings_its_secret(self) -> Self:
        if self.environment is Environment.PRODUCTION and self.jwt_secret is None:
            raise ValueError("JWT_SECRET must be set in production")
        if self.jwt_secret is not None and self.environment is Environment.PRODUCTION:
            secret = self.jwt_secret.get_secret_value()
            if len(secret.encode()) < _MINIMUM_SECRET_BYTES or len(set(secret)) < _MINIMUM_DISTINCT_CHARACTERS:
                raise ValueError(
                    f"JWT_SECRET is too weak: production takes at least {_MINIMUM_SECRET_BYTES} random bytes, "
                    "such as `openssl rand -hex 32` prints"
                )
        return self

    @model_validator(mode="after")
    def _argon2_has_memory_for_each_lane(self) -> Self:
        if self.argon2_memory_kib < _LANE_KIB * self.argon2_parallelism:
            raise ValueError(f"ARGON2_MEMORY_KIB must be at least {_LANE_KIB} times ARGON2_PARALLELISM")
        return self

    @model_validator(mode="after")
    def _redis_needs_a_shared_database(self) -> Self:
        if self.redis_url is not None and self.database.get_backend_name() == "sqlite":
            raise ValueError(
                "REDIS_URL is for several processes on one MySQL or MariaDB: set DATABASE_URL to it, or drop REDIS_URL"
            )
        return self

    @property
    def database(self) -> DatabaseURL:
        """The database: `DATABASE_URL`, or the one of the environment, or else a SQLite file in the data folder."""
        chosen = (
            self.database_url
            or {
                Environment.DEVELOPMENT: self.development_database_url,
                Environment.TESTING: self.testing_database_url,
                Environment.PRODUCTION: self.production_database_url,
            }[self.environment]
        )
        if chosen is None:
            return sqlite_url(self.data_dir / f"{self.environment}.db")
        return parse_database_url(chosen)


def load_settings() -> Settings:
    """Return the settings of this process.

    Raises:
        ConfigurationError: A setting has a value it can't have. The value itself is not repeated: it may be a secret.
    """
    try:
        return Settings()
    except ValidationError as error:
        raise ConfigurationError(
            "; ".join(_describe(problem["loc"], problem["msg"]) for problem in error.errors())
        ) from None


def _describe(location: tuple[int | str, ...], message: str) -> str:
    message = message.removeprefix("Value error, ")
    return f"{location[0]!s}".upper() + f": {message}" if location else message
