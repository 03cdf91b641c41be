"""Look-ups of host names that strangers choose: without threads, bounded in time and size, and cached for their TTL."""

import asyncio
import errno
import struct
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from ipaddress import ip_address
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import dns.asyncbackend
import dns.asyncquery
import dns.asyncresolver
import dns.exception
import dns.message
import dns.nameserver
import dns.rdatatype
import dns.resolver
from cachetools import TLRUCache
from typing_extensions import override

_LOOKUP_SECONDS = 5
_MAX_CACHED_HOSTS = 1000
_MAX_CACHE_SECONDS = 300
_MAX_ADDRESSES = 16
# The owner of a name decides how long the answer is, and the event loop has to parse all of it.
_MAX_ANSWER_BYTES = 4096
_DNS_PORT = 53
_NO_ADDRESS = "the host has no address"
_NO_ANSWER = "no name server answered for the host"

# Errors of this machine, not of the host that is called.
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})


class HostNotFound(Exception):
    """The host has no address, or no name server answered in time. The message is for the user who chose the host."""


class LocalResourcesExhausted(Exception):
    """This process has no free file descriptors, ports or memory, so it could not even try."""


def is_exhaustion(error: BaseException) -> bool:
    """Return whether the error says that this machine lacks what a connection needs."""
    return isinstance(error, OSError) and error.errno in _EXHAUSTED


class _Found(NamedTuple):
    addresses: list[str]
    seconds: float


class HostLookup:
    """Finds the addresses of hosts: in the hosts file, then with DNS.

    It follows the name servers, search list and options of the `resolver_file`, and reads this file and the hosts file
    again when they change. `name_servers`, if given, are asked instead of those in the file: addresses and ports. A
    look-up ends within `seconds`, whatever the name servers do.
    """

    def __init__(
        self,
        name_servers: Sequence[tuple[str, int]] = (),
        *,
        seconds: float = _LOOKUP_SECONDS,
        resolver_file: Path = Path("/etc/resolv.conf"),
        hosts_file: Path = Path("/etc/hosts"),
    ) -> None:
        self._seconds = seconds
        self._hosts = _HostsFile(hosts_file)
        self._resolver = _ConfiguredResolver(resolver_file, name_servers)
        self._cache: TLRUCache[str, _Found] = TLRUCache(
            _MAX_CACHED_HOSTS, ttu=lambda _, found, now: now + found.seconds, timer=time.monotonic
        )

    async def addresses(self, host: str) -> list[str]:
        """Return the addresses of the host, IPv4 and IPv6 alternately.

        Raises:
            HostNotFound: It has none, or no name server answered.
            LocalResourcesExhausted: No name server could be asked.
        """
        with suppress(ValueError):
            return [str(ip_address(host.strip("[]")))]
        if listed := self._hosts.addresses(host):
            return listed
        found = self._cache.get(host)
        if found is None:
            found = await self._look_up(host)
            self._cache[host] = found
        return found.addresses

    async def _look_up(self, host: str) -> _Found:
        resolver = self._resolver.get()
        answers = await asyncio.gather(
            *(self._query(resolver, host, type_) for type_ in (dns.rdatatype.A, dns.rdatatype.AAAA)),
            return_exceptions=True,
        )
        found = [answer for answer in answers if isinstance(answer, _Found)]
        addresses = _alternating(*(one.addresses for one in found))
        if addresses:
            return _Found(addresses[:_MAX_ADDRESSES], min(one.seconds for one in found))
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        raise HostNotFound(_NO_ADDRESS)

    async def _query(self, resolver: dns.asyncresolver.Resolver, host: str, type_: dns.rdatatype.RdataType) -> _Found:
        try:
            async with asyncio.timeout(self._seconds):
                answer = await resolver.resolve(host, type_, search=True, lifetime=self._seconds, backend=_BACKEND)
        except TimeoutError:
            raise HostNotFound(_NO_ANSWER) from None
        except dns.resolver.NXDOMAIN:
            raise HostNotFound(_NO_ADDRESS) from None
        except dns.resolver.NoAnswer:
            return _Found([], _MAX_CACHE_SECONDS)
        except (dns.resolver.NoNameservers, dns.exception.Timeout) as error:
            attempts = error.kwargs.get("errors") or ()
            if any(is_exhaustion(reason) for _, _, _, reason, _ in attempts):
                raise LocalResourcesExhausted from None
            raise HostNotFound(_NO_ANSWER) from None
        except (dns.exception.DNSException, OSError, UnicodeError):
            raise HostNotFound(_NO_ADDRESS) from None
        seconds = min(max(answer.expiration - time.time(), 0), _MAX_CACHE_SECONDS)
        return _Found([record.address for record in answer], seconds)


_BACKEND = dns.asyncbackend.get_backend("asyncio")


class _NameServer(dns.nameserver.Do53Nameserver):
    """A name server whose answers over TCP are bounded too; over UDP, the size is bounded by what is asked for."""

    @override
    async def async_query(
        self,
        request: dns.message.QueryMessage,
        timeout: float,
        source: str | None,
        source_port: int,
        max_size: bool,
        backend: Any,
        one_rr_per_rrset: bool = False,
        ignore_trailing: bool = False,
    ) -> dns.message.Message:
        if not max_size:
            return await super().async_query(
                request, timeout, source, source_port, max_size, backend, one_rr_per_rrset, ignore_trailing
            )
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_connection(self.address, self.port)
            try:
                question = request.to_wire()
                writer.write(struct.pack("!H", len(question)) + question)
                (length,) = struct.unpack("!H", await reader.readexactly(2))
                if length > _MAX_ANSWER_BYTES:
                    raise ConnectionError("the answer is too long")
                answer = dns.message.from_wire(await reader.readexactly(length))
            finally:
                writer.close()
        if not request.is_response(answer):
            raise ConnectionError("the answer is to another question")
        return answer


class _ConfiguredResolver:
    """A resolver as the resolver file configures it, made again when the file has changed."""

    def __init__(self, file: Path, name_servers: Sequence[tuple[str, int]]) -> None:
        self._file = file
        self._name_servers = name_servers
        self._modified: int | None = None
        self._resolver: dns.asyncresolver.Resolver | None = None

    def get(self) -> dns.asyncresolver.Resolver:
        modified = _modified(self._file)
        if self._resolver is None or modified != self._modified:
            self._resolver, self._modified = self._make(), modified
        return self._resolver

    def _make(self) -> dns.asyncresolver.Resolver:
        resolver = dns.asyncresolver.Resolver(configure=False)
        # Without the file, as the C library does it: a name server on this machine.
        resolver.nameservers = ["127.0.0.1"]
        with suppress(dns.exception.DNSException, OSError, ValueError):
            resolver = dns.asyncresolver.Resolver(str(self._file))
        servers = self._name_servers or [(str(address), _DNS_PORT) for address in resolver.nameservers]
        resolver.nameservers = [_NameServer(address, port) for address, port in servers]
        return resolver


class _HostsFile:
    """The hosts file, read again when it has changed."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._modified: int | None = None
        self._addresses: Mapping[str, list[str]] = {}

    def addresses(self, host: str) -> list[str]:
        """Return the host's addresses in the file. The names of this machine are there even if the file lacks them."""
        modified = _modified(self._file)
        if modified != self._modified:
            self._addresses, self._modified = _read_hosts(self._file), modified
        name = host.lower().removesuffix(".")
        listed = self._addresses.get(name, [])
        if not listed and (name == "localhost" or name.endswith(".localhost")):
            return ["127.0.0.1", "::1"]
        return listed


def _read_hosts(file: Path) -> dict[str, list[str]]:
    found = dict[str, list[str]]()
    with suppress(OSError):
        for line in file.read_text(errors="replace").splitlines():
            address, *names = line.partition("#")[0].split() or [""]
            with suppress(ValueError):
                normal = str(ip_address(address))
                for name in names:
                    found.setdefault(name.lower(), []).append(normal)
    return found


def _modified(file: Path) -> int | None:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return None


def _alternating(*lists: list[str]) -> list[str]:
    return [address for group in zip_longest(*lists) for address in group if address is not None]
