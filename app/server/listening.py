"""The sockets that the service listens on."""

import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from app.errors import ConfigurationError

# Uvicorn's backlog.
_BACKLOG = 2048
_EVERY_ADDRESS = ("::", "0.0.0.0")  # noqa: S104 - only if the operator asks for it
_MISSING_FAMILY = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}
_NEW_SOCKET_MODE = 0o666


class Listening:
    """Sockets that are bound, but refuse connections until `begin`. `address` is what an operator can connect to."""

    def __init__(self, sockets: list[socket.socket], address: str) -> None:
        self.sockets = sockets
        self.address = address

    def begin(self) -> None:
        """Let clients connect.

        Raises:
            ConfigurationError: Another process was quicker.
        """
        try:
            for each in self.sockets:
                each.listen(_BACKLOG)
        except OSError as error:
            raise _unusable(self.address, error) from None


@contextmanager
def listening_on_port(host: str, port: int, *, scheme: str = "http") -> Iterator[Listening]:
    """Bind to a port at each address of the host. An empty host, or `::`, is every IPv6 and every IPv4 address.

    Raises:
        ConfigurationError: The host has no such address here, or the port is taken.
    """
    shown = f"[{host}]" if ":" in host else host
    with ExitStack() as stack:
        try:
            sockets = [stack.enter_context(each) for each in _bound(host, port)]
        except (OSError, UnicodeError) as error:
            raise _unusable(f"{shown}:{port}", error) from None
        yield Listening(sockets, f"{scheme}://{shown or 'localhost'}:{sockets[0].getsockname()[1]}")


@contextmanager
def listening_on_path(path: str) -> Iterator[Listening]:
    """Bind to a path: a Unix domain socket. One that a process left behind is replaced, and it is removed at the end.

    Raises:
        ConfigurationError: Another process listens there, or something else is there.
    """
    with socket.socket(socket.AF_UNIX) as bound:
        try:
            mode = _remove_abandoned(path)
            bound.bind(path)
            Path(path).chmod(mode)
        except OSError as error:
            raise _unusable(path, error) from None
        try:
            yield Listening([bound], f"unix:{path}")
        finally:
            with suppress(OSError):
                Path(path).unlink()


@contextmanager
def listening_on_descriptor(descriptor: int) -> Iterator[Listening]:
    """Take a socket that the parent process has opened.

    Raises:
        ConfigurationError: It is no socket.
    """
    try:
        # A copy, because it is closed at the end. Its family and kind are found out.
        opened = socket.socket(fileno=os.dup(descriptor))
    except OSError as error:
        raise _unusable(f"file descriptor {descriptor}", error) from None
    with opened:
        yield Listening([opened], f"file descriptor {descriptor}")


def _bound(host: str, port: int) -> Iterator[socket.socket]:
    """Return a socket for each address, as IPv6 sockets that take IPv4 too would show IPv4 clients in another form."""
    hosts = _EVERY_ADDRESS if host in ("", "::") else (host,)
    found = [answer for each in hosts for answer in socket.getaddrinfo(each, port, type=socket.SOCK_STREAM)]
    failure: OSError | None = None
    count = 0
    for family, kind, protocol, _, address in dict.fromkeys(found):
        try:
            bound = socket.socket(family, kind, protocol)
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            # With port 0 the system chooses one, the same for every address.
            bound.bind((address[0], port, *address[2:]))
        except OSError as error:
            if error.errno not in _MISSING_FAMILY:
                raise
            failure = error
            continue
        port = bound.getsockname()[1]
        count += 1
        yield bound
    if not count and failure is not None:
        raise failure


def _remove_abandoned(path: str) -> int:
    """Remove the socket of a process that has ended, and return the mode for the new one."""
    try:
        found = Path(path).lstat().st_mode
    except FileNotFoundError:
        return _NEW_SOCKET_MODE
    if stat.S_ISSOCK(found):
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(path)
            except ConnectionRefusedError:
                Path(path).unlink()
                return stat.S_IMODE(found)
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def _unusable(address: str, error: OSError | UnicodeError) -> ConfigurationError:
    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return ConfigurationError(f"can't listen on {address}: {why}")
