"""Database URLs: which are supported, and with which driver."""

import ssl
from pathlib import Path
from urllib.parse import parse_qsl

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

DatabaseURL = URL

_DRIVERS = {"sqlite": "sqlite+aiosqlite", "mysql": "mysql+asyncmy", "mariadb": "mysql+asyncmy"}
_LARGEST_PORT = 65_535
_IN_MEMORY = ":memory:"

# What a URL can say as text. The service sets the other arguments of the drivers itself.
_TLS_OPTIONS = {"ssl_ca", "ssl_capath", "ssl_cert", "ssl_key", "ssl_cipher", "ssl_check_hostname"}
_OPTIONS = {
    "sqlite": {"timeout", "check_same_thread", "cached_statements"},
    "mysql": _TLS_OPTIONS
    | {"charset", "unix_socket", "program_name", "read_default_file", "read_default_group"}
    | {"client_flag", "local_infile", "use_unicode", "sql_mode", "init_command"},
}


def sqlite_url(path: Path) -> URL:
    """Return the URL of a SQLite file."""
    return URL.create(_DRIVERS["sqlite"], database=str(path))


def is_in_memory(url: URL) -> bool:
    """Return whether the URL is of a SQLite database in the memory of the process that uses it."""
    return url.get_backend_name() == "sqlite" and url.database == _IN_MEMORY


def parse_database_url(value: str) -> URL:
    """Return the URL, with the driver that is used for its database.

    Raises:
        ValueError: It is none, or of a database that can't be used; the message says which, and repeats nothing of it.
    """
    try:
        url = make_url(value)
        if url.port is not None and url.port > _LARGEST_PORT:
            raise ArgumentError
    except ArgumentError:
        raise ValueError("is no database URL, such as mysql+asyncmy://user:password@host:3306/name") from None
    backend = url.get_backend_name()
    if backend not in _DRIVERS or (url.drivername not in {backend, _DRIVERS[backend]}):
        raise ValueError("names a database that is not supported; use mysql+asyncmy://… or sqlite+aiosqlite:///…")
    if not url.database or (url.database.startswith((_IN_MEMORY, "file:")) and not is_in_memory(url)):
        raise ValueError(
            "names no database; use mysql+asyncmy://user:password@host:3306/name, sqlite:///path/to/file, or "
            "sqlite:///:memory: to keep all in memory until the process stops"
        )
    url = url.set(drivername=_DRIVERS[backend])
    _check_options(url, value)
    return url


def _check_options(url: URL, value: str) -> None:
    """Raise `ValueError` unless the driver can use every option of the URL, which `value` spells."""
    known = _OPTIONS["sqlite" if url.get_backend_name() == "sqlite" else "mysql"]
    unknown = url.query.keys() - known
    if any("ssl" in name.lower() or "tls" in name.lower() for name in unknown):
        raise ValueError("has an option for TLS that can't be used; it takes ?ssl_ca=/path/to/ca.pem")
    if unknown:
        raise ValueError(
            f"has an option after the question mark that can't be used; it takes {', '.join(sorted(known))}"
        )
    # SQLAlchemy drops options without a value, so `?ssl_ca=` would connect without TLS.
    spelled = parse_qsl(value.rpartition("@")[2].partition("?")[2], keep_blank_values=True)
    if any(not text for _, text in spelled) or any(not isinstance(text, str) for text in url.query.values()):
        raise ValueError("has an option after the question mark that is empty, or is there twice")
    try:
        _, arguments = url.get_dialect()().create_connect_args(url)
    except (TypeError, ValueError):
        raise ValueError("has an option after the question mark whose value can't be used") from None
    # Not without need: to load the system's certificates takes milliseconds.
    if "ssl" in arguments:
        _check_tls(arguments["ssl"])


def _check_tls(options: dict[str, str]) -> None:
    """Raise `ValueError` unless the files that an encrypted connection needs can be used."""
    try:
        context = ssl.create_default_context(cafile=options.get("ca"), capath=options.get("capath"))
        if "cert" in options:
            context.load_cert_chain(options["cert"], options.get("key"))
        if "cipher" in options:
            context.set_ciphers(options["cipher"])
    except OSError as error:
        raise ValueError(
            f"names a certificate, key or cipher (ssl_…) that can't be used: {error.strerror or type(error).__name__}"
        ) from None
