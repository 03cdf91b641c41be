"""The settings, read once from the environment, `.env`, or files of secrets."""

import os
import re
from difflib import get_close_matches
from email.headerregistry import Address
from email.policy import SMTP
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, NamedTuple, Self
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from dotenv import dotenv_values
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
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

from app.database.urls import DatabaseURL, is_in_memory, parse_database_url, sqlite_url
from app.errors import ConfigurationError
from app.quotas import Quotas
from models import SignUpPolicy

_ENV_FILE = Path(".env")
_SECRETS_VARIABLE = "CREDENTIALS_DIRECTORY"
# By Docker Compose, uvicorn, Litestar, Prometheus' and OpenTelemetry's libraries, platforms and Python.
_READ_BY_OTHERS = ["MYSQL_ROOT_PASSWORD", "MYSQL_DATABASE", "WEB_CONCURRENCY", "PORT", "FORWARDED_ALLOW_IPS", "TZ"]
_PREFIXES_READ_BY_OTHERS = ("COMPOSE_", "DOCKER_", "LITESTAR_", "MYSQL_", "OTEL_", "PROMETHEUS_", "PYTHON", "UVICORN_")
_MINIMUM_SECRET_BYTES = 32
_MINIMUM_DISTINCT_CHARACTERS = 12
_CENTURY_SECONDS = 36_500 * 86_400
_LANE_KIB = 8
_LOCAL_URL = "http://127.0.0.1:8000"
_SUBMISSION_PORT = 587
_TLS_SUBMISSION_PORT = 465
_DNS_PORT = 53
_IPV6_COLONS = 2
_MAX_QUOTA = 2**62

UNIX_SOCKET = "unix"
"""What stands among `TRUSTED_PROXIES` for a proxy that connects through a Unix socket."""


class Environment(StrEnum):
    """Where the service runs."""

    DEVELOPMENT = "development"
    TESTING = "testing"
    PRODUCTION = "production"


class StartTLS(StrEnum):
    """Whether a connection that begins in clear is encrypted.

    `OPPORTUNISTIC` encrypts where the server offers it, without checking its certificate.
    """

    REQUIRED = "required"
    OPPORTUNISTIC = "opportunistic"
    NEVER = "never"


class MailServer(NamedTuple):
    """The server that takes the service's mails. With `is_tls`, the connection is encrypted from its first byte."""

    host: str
    port: int
    user: str | None
    password: str | None
    is_tls: bool
    start_tls: StartTLS


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


def _as_name_server(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        parts = urlsplit(f"//{value}" if value.count(":") < _IPV6_COLONS or "[" in value else f"//[{value}]")
        return str(ip_address(parts.hostname or "")), _DNS_PORT if parts.port is None else parts.port
    except ValueError:
        raise ValueError("takes addresses, with a port or without, such as 10.0.0.53 or [::1]:5353") from None


NameServer = Annotated[tuple[str, int], BeforeValidator(_as_name_server)]

HostPattern = Annotated[
    str,
    StringConstraints(to_lower=True),
    _matching(
        r"[\w.*?-]+|\[[0-9a-f:.]+\]",
        "takes names without scheme and port, such as api.example.com, *.example.org or [::1]",
    ),
]

RootPath = Annotated[
    str,
    _matching(r"|/|(/[A-Za-z0-9._~-]+)+/?", "takes a path, such as /postline"),
    AfterValidator(lambda path: path.rstrip("/")),
]

Origin = Annotated[
    str,
    StringConstraints(to_lower=True),
    _matching(r"\*|null|(\*|[a-z][a-z0-9+.-]*://)[^/?#@\s]+", "takes origins, such as https://app.example.com"),
]


class Settings(BaseSettings):
    """The service's settings; `.env.example` lists each with its default."""

    model_config = SettingsConfigDict(
        env_file=_ENV_FILE, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )

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
    password_queue_share: int | None = Field(default=None, ge=1)

    event_retention_days: int = Field(default=30, ge=1, le=36_500)
    prune_seconds: int = Field(default=300, ge=1, le=_CENTURY_SECONDS)

    sign_up: SignUpPolicy = SignUpPolicy.OPEN

    auth_rate_limit: str = "100/minute"
    failure_limits: str = "5/minute,10/15minute,20/hour"
    account_failure_limits: str = "100/hour,1000/day"
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = ()
    allowed_hosts: Annotated[tuple[HostPattern, ...], NoDecode] = ()
    webhook_allowed_networks: Annotated[tuple[Network, ...], NoDecode] = ()
    webhook_name_servers: Annotated[tuple[NameServer, ...], NoDecode] = ()
    cors_allowed_origins: Annotated[tuple[Origin, ...], NoDecode] = ()

    root_path: RootPath = ""
    keep_alive_seconds: int = Field(default=75, ge=1, le=3600)

    mail_url: str | None = None
    development_mail_url: str | None = None
    mail_from: str | None = None
    mail_templates: Path | None = None
    public_url: str | None = None
    mail_rate_limit: str = "5/hour"
    mail_client_rate_limit: str = "100/hour"

    access_log_seconds: float = Field(default=1.0, ge=0)
    access_log_lines_per_minute: int = Field(default=1200, ge=0)

    answers_max_bytes: int = Field(default=128 * 1024 * 1024, ge=16 * 1024 * 1024)
    spool_max_bytes: int = Field(default=1024 * 1024 * 1024, ge=0)
    feeds_per_user: int = Field(default=20, ge=1)
    feeds_max: int = Field(default=10_000, ge=1)

    cache_max_bytes: int = Field(default=64 * 1024 * 1024, ge=0)
    cache_seconds: int = Field(default=300, ge=1, le=300)

    import_max_bytes: int = Field(default=1024 * 1024 * 1024, ge=1024 * 1024)

    bodies_max_bytes: int = Field(default=64 * 1024 * 1024, ge=8 * 1024 * 1024)

    max_posts_per_user: int | None = Field(default=None, ge=0, le=_MAX_QUOTA)
    max_bytes_per_user: int | None = Field(default=None, ge=0, le=_MAX_QUOTA)
    max_webhooks_per_user: int | None = Field(default=None, ge=0, le=_MAX_QUOTA)
    write_rate_limit: str | None = None

    @field_validator("database_url", "development_database_url", "testing_database_url", "production_database_url")
    @classmethod
    def _is_supported_database(cls, value: str | None) -> str | None:
        if value is not None:
            parse_database_url(value)
        return value

    @field_validator("redis_url")
    @classmethod
    def _is_redis(cls, value: str | None) -> str | None:
        if value is not None:
            # Not for a process without Redis: see `RedisConnection`.
            from redis.asyncio.connection import parse_url  # noqa: PLC0415

            try:
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
        "webhook_name_servers",
        mode="before",
    )
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(word.strip() for word in value.split(",") if word.strip()) if isinstance(value, str) else value

    @field_validator("*", mode="before")
    @classmethod
    def _is_unicode(cls, value: object) -> object:
        # Python takes bytes from the environment that are not UTF-8 as lone surrogates.
        if isinstance(value, str) and not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise ValueError("is not UTF-8") from None
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _are_proxies(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if value != ("*",):
            for word in value:
                if word != UNIX_SOCKET:
                    _as_network(word)
        return value

    @field_validator("mail_url", "development_mail_url")
    @classmethod
    def _is_mail_server(cls, value: str | None) -> str | None:
        if value is not None:
            _mail_server(value)
        return value

    @field_validator("mail_from")
    @classmethod
    def _is_one_address(cls, value: str | None) -> str | None:
        if value is not None and not _is_mailbox(value):
            raise ValueError("is no address, such as postline@example.com or Postline <postline@example.com>")
        return value

    @field_validator("public_url")
    @classmethod
    def _is_public_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = _split_url(value)
        is_bare = parts is not None and not (parts.query or parts.fragment or "@" in parts.netloc)
        if parts is None or not is_bare or parts.scheme not in {"http", "https"}:
            raise ValueError("is no address of this service, such as https://posts.example.com")
        return value.rstrip("/")

    @field_validator(
        "auth_rate_limit",
        "failure_limits",
        "account_failure_limits",
        "mail_rate_limit",
        "mail_client_rate_limit",
        "write_rate_limit",
    )
    @classmethod
    def _is_limit(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            windows = parse_many(value)
        except ValueError:
            raise ValueError("is no limit, such as 5/minute or 5/minute;20/hour") from None
        if not all(window.amount for window in windows):
            raise ValueError("must allow at least one attempt, such as 1/minute")
        if any(window.get_expiry() > _CENTURY_SECONDS for window in windows):
            raise ValueError("must have windows of a century at most")
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
    def _production_says_what_its_mails_name(self) -> Self:
        if self.environment is Environment.PRODUCTION and self.mail_url is not None:
            for name in ("mail_from", "public_url"):
                if getattr(self, name) is None:
                    raise ValueError(
                        f"{name.upper()} must be set in production if MAIL_URL is; without mail, MAIL_URL is empty"
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

    @property
    def is_in_memory(self) -> bool:
        """Whether the database is in this process's memory, and so nothing is written to disk."""
        return is_in_memory(self.database)

    @property
    def quotas(self) -> Quotas:
        """How much one user may keep, as far as the settings say."""
        return Quotas(self.max_posts_per_user, self.max_bytes_per_user, self.max_webhooks_per_user)

    @property
    def mail_server(self) -> MailServer | None:
        """The server of `MAIL_URL` or, in development, of `DEVELOPMENT_MAIL_URL`, if one is set."""
        chosen = self.mail_url
        if chosen is None and self.environment is Environment.DEVELOPMENT:
            chosen = self.development_mail_url
        return None if chosen is None else _mail_server(chosen)

    @property
    def sends_mail(self) -> bool:
        """Whether mails are sent to a server or, outside production, written to the data folder."""
        has_folder = self.environment is not Environment.PRODUCTION and not self.is_in_memory
        return self.mail_server is not None or has_folder

    @property
    def links_lead_to(self) -> str | None:
        """The address in links: `PUBLIC_URL`, or outside production that of a service on this machine."""
        return self.public_url or (None if self.environment is Environment.PRODUCTION else _LOCAL_URL)


def load_settings() -> Settings:
    """Return the settings of this process.

    Where systemd hands over credentials, each file is a setting of that name; the environment and `.env` come before.

    Raises:
        ConfigurationError: A setting has a value it can't have, or a file can't be read. Values are not repeated: they
            may be secrets.
    """
    secrets = os.environ.get(_SECRETS_VARIABLE) or None
    if secrets and not Path(secrets).is_dir():
        raise ConfigurationError(f"{_SECRETS_VARIABLE} is {secrets}, which is no folder")
    try:
        return Settings(_secrets_dir=secrets)  # pyright: ignore[reportCallIssue] - pydantic-settings takes it at run time
    except ValidationError as error:
        raise ConfigurationError(
            "; ".join(_describe(problem["loc"], problem["msg"]) for problem in error.errors())
        ) from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{_ENV_FILE} is not UTF-8") from None
    except OSError as error:
        raise ConfigurationError(f"{error.filename or _ENV_FILE} can't be read: {error.strerror}") from None
    except SettingsError:
        # Its text is of no use to an operator, and its cause may quote the secret.
        raise ConfigurationError(f"a file in {secrets} can't be read as UTF-8") from None


def misspelt_settings() -> dict[str, str | None]:
    """Return each name in `.env` that nothing reads, and the name that was probably meant, if there is one.

    Call this after `load_settings`, which says what is wrong if the file can't be read.
    """
    if not _ENV_FILE.is_file():
        return {}
    known = [name.upper() for name in Settings.model_fields] + _READ_BY_OTHERS
    return {
        name: next(iter(get_close_matches(name.upper(), known, n=1)), None)
        for name in dotenv_values(_ENV_FILE, encoding="utf-8")
        if name.upper() not in known and not name.upper().startswith(_PREFIXES_READ_BY_OTHERS)
    }


def _describe(location: tuple[int | str, ...], message: str) -> str:
    message = message.removeprefix("Value error, ")
    return f"{location[0]!s}".upper() + f": {message}" if location else message


def _split_url(value: str) -> SplitResult | None:
    """Return the parts of a URL with a host, or `None` if it is none."""
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        return None
    return parts if parts.hostname and value.isprintable() and " " not in value else None


def _mail_server(value: str) -> MailServer:
    parts = _split_url(value)
    if parts is None or parts.scheme not in {"smtp", "smtps"} or parts.path.strip("/") or parts.fragment:
        raise ValueError(
            "is no mail server, such as smtp://user:password@mail.example.com:587 "
            "(with % codes for special characters in the password)"
        )
    user, password = (None if part is None else unquote(part) for part in (parts.username, parts.password))
    if bool(user) != bool(password):
        raise ValueError("must have both a user and a password, or neither")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    start_tls = options.pop("starttls", StartTLS.REQUIRED)
    is_tls = parts.scheme == "smtps"
    if options or start_tls not in list(StartTLS) or (is_tls and parts.query):
        raise ValueError("takes one option, with smtp:// only: starttls=required, opportunistic or never")
    default_port = _TLS_SUBMISSION_PORT if is_tls else _SUBMISSION_PORT
    return MailServer(
        host=parts.hostname or "",
        port=parts.port or default_port,
        user=user or None,
        password=password or None,
        is_tls=is_tls,
        start_tls=StartTLS(start_tls),
    )


def _is_mailbox(value: str) -> bool:
    if not value.isprintable():
        return False
    header = SMTP.header_factory("from", value)
    addresses: tuple[Address, ...] = getattr(header, "addresses", ())
    return len(addresses) == 1 and not header.defects and bool(addresses[0].username and addresses[0].domain)
