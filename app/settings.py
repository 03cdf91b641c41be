"""Every setting, typed, read once from the environment or `.env`."""

import os
import secrets
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Self

from limits import parse_many
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from redis.asyncio.connection import parse_url
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from app.keyring import Keyring

_DRIVERS = {"sqlite": "sqlite+aiosqlite", "mysql": "mysql+asyncmy", "mariadb": "mysql+asyncmy"}
_MINIMUM_SECRET_BYTES = 32
_MINIMUM_DISTINCT_CHARACTERS = 12


class ConfigurationError(Exception):
    """The service can't run as it is set up; the message is one line for the operator."""


class Environment(StrEnum):
    """Where the service runs."""

    DEVELOPMENT = "development"
    TESTING = "testing"
    PRODUCTION = "production"


Words = Annotated[tuple[str, ...], NoDecode]
"""Several words, with commas between them."""


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
    access_token_seconds: int = Field(default=900, ge=1)
    session_seconds: int = Field(default=30 * 86_400, ge=60)

    argon2_memory_kib: int = Field(default=19_456, ge=8)
    argon2_iterations: int = Field(default=2, ge=1)
    argon2_parallelism: int = Field(default=1, ge=1)
    password_threads: int = Field(default=2, ge=1, le=64)
    password_queue_limit: int = Field(default=64, ge=0)

    event_retention_days: int = Field(default=30, ge=1, le=36_500)
    prune_seconds: int = Field(default=300, ge=1)

    auth_rate_limit: str = "100/minute"
    failure_limits: str = "5/minute;10/15minute;20/hour"
    trusted_proxies: Words = ()
    allowed_hosts: Words = ()
    webhook_allowed_networks: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = ()
    cors_allowed_origins: Words = ()

    access_log_seconds: float = Field(default=1.0, ge=0)

    cache_max_bytes: int = Field(default=64 * 1024 * 1024, ge=0)
    cache_seconds: int = Field(default=300, ge=1, le=300)

    @field_validator("database_url", "development_database_url", "testing_database_url", "production_database_url")
    @classmethod
    def _is_supported_database(cls, value: str | None) -> str | None:
        if value is not None:
            _with_async_driver(value)
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

    @field_validator("auth_rate_limit", "failure_limits")
    @classmethod
    def _is_limit(cls, value: str) -> str:
        try:
            parse_many(value)
        except ValueError:
            raise ValueError("is no limit, such as 5/minute or 5/minute;20/hour") from None
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
    def _shares_what_can_be_shared(self) -> Self:
        if self.redis_url is not None and self.database.get_backend_name() == "sqlite":
            raise ValueError(
                "REDIS_URL is for several processes on one MySQL or MariaDB: set DATABASE_URL to it, or drop REDIS_URL"
            )
        return self

    @property
    def database(self) -> URL:
        """The database to use: `DATABASE_URL`, or the environment's own, or else SQLite in the data folder."""
        chosen = (
            self.database_url
            or {
                Environment.DEVELOPMENT: self.development_database_url,
                Environment.TESTING: self.testing_database_url,
                Environment.PRODUCTION: self.production_database_url,
            }[self.environment]
        )
        if chosen is None:
            return URL.create(_DRIVERS["sqlite"], database=str(self.data_dir / f"{self.environment}.db"))
        return _with_async_driver(chosen)


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


def resolve_keyring(settings: Settings) -> Keyring:
    """Return the secrets, of which `JWT_SECRET` signs, or else one that is generated once and kept with the data.

    Raises:
        ConfigurationError: The data folder can't be written.
    """
    secret = _kept_secret(settings) if settings.jwt_secret is None else settings.jwt_secret.get_secret_value()
    return Keyring(secret, tuple(previous.get_secret_value() for previous in settings.jwt_previous_secrets))


def _kept_secret(settings: Settings) -> str:
    path = settings.data_dir / "jwt_secret"
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"jwt_secret.{os.getpid()}")
        if not path.exists():
            draft.touch(mode=0o600)
            draft.write_text(secrets.token_hex(_MINIMUM_SECRET_BYTES), encoding="ascii")
            try:
                # A link is made whole or not at all, so of several processes that start at once all read one secret.
                os.link(draft, path)
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        return path.read_text(encoding="ascii")
    except OSError as error:
        raise ConfigurationError(f"the data folder {settings.data_dir} can't be used: {error.strerror}") from None


def _with_async_driver(value: str) -> URL:
    try:
        url = make_url(value)
    except ArgumentError:
        raise ValueError("is no database URL, such as mysql+asyncmy://user:password@host:3306/name") from None
    backend = url.get_backend_name()
    if backend not in _DRIVERS or (url.drivername not in {backend, _DRIVERS[backend]}):
        raise ValueError("names a database that is not supported; use mysql+asyncmy://… or sqlite+aiosqlite:///…")
    return url.set(drivername=_DRIVERS[backend])


def _describe(location: tuple[int | str, ...], message: str) -> str:
    message = message.removeprefix("Value error, ")
    return f"{location[0]!s}".upper() + f": {message}" if location else message
