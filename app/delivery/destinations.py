"""The addresses that webhooks may call: public ones, and networks that the operator allows."""

import asyncio
import socket
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from typing_extensions import override

from app.errors import InvalidRequest
from app.ports.security import Destinations

Network = IPv4Network | IPv6Network
_Address = IPv4Address | IPv6Address

_RESOLVE_SECONDS = 5
_MAX_CONCURRENT_LOOKUPS = 8

# A translator (RFC 6052) forwards these to the IPv4 address in the last 32 bits.
_TRANSLATED = ip_network("64:ff9b::/96")

# Not public either, although `ipaddress` may say so: special purposes (RFC 6890), local translator prefixes
# (RFC 8215), deprecated forms of IPv4 in IPv6, and Azure's host address.
_SPECIAL = tuple(
    ip_network(network)
    for network in (
        "192.0.0.0/24",
        "192.88.99.0/24",
        "168.63.129.16/32",
        "64:ff9b:1::/48",
        "fec0::/10",
        "::/96",
        "::ffff:0:0:0/96",
        "5f00::/16",
    )
)


class ForbiddenDestination(Exception):
    """The host resolves to an address that may not be called, or to none."""


class PublicDestinations(Destinations):
    """Resolves host names, and refuses those with an address that is neither public nor in an `allowed` network."""

    def __init__(self, allowed: Iterable[Network] = ()) -> None:
        self._allowed = tuple(allowed)
        # A dead name server blocks a thread for long. The event loop's own threads resolve the database's name too.
        self._resolvers = ThreadPoolExecutor(_MAX_CONCURRENT_LOOKUPS, thread_name_prefix="resolver")

    @override
    async def check(self, url: str) -> None:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            await self.resolve(parts.hostname or "", port)
        except ForbiddenDestination as error:
            message = str(error)
            raise InvalidRequest("The address can't be used.", [{"field": "url", "message": message}]) from None

    async def resolve(self, host: str, port: int) -> list[str]:
        """Return the addresses of the host.

        Raises:
            ForbiddenDestination: One of them may not be called, or there is none.
        """
        look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        try:
            async with asyncio.timeout(_RESOLVE_SECONDS):
                found = await asyncio.get_running_loop().run_in_executor(self._resolvers, look_up)
        except (OSError, UnicodeError, TimeoutError):
            raise ForbiddenDestination("the host has no address") from None
        addresses = list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))
        if not all(self._is_allowed(ip_address(address)) for address in addresses):
            raise ForbiddenDestination("the host is not a public address")
        return addresses

    async def close(self) -> None:
        """Stop resolving names."""
        self._resolvers.shutdown(wait=False, cancel_futures=True)

    def _is_allowed(self, address: _Address) -> bool:
        meant = {address, *_embedded(address)}
        return all(
            (one.is_global and not one.is_multicast and not any(one in network for network in _SPECIAL))
            or any(one in network for network in self._allowed)
            for one in meant
        )


def _embedded(address: _Address) -> list[IPv4Address]:
    """Return the IPv4 addresses that packets to this IPv6 address may end up at."""
    if isinstance(address, IPv4Address):
        return []
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _TRANSLATED:
        found.append(IPv4Address(int(address) & 0xFFFF_FFFF))
    return [one for one in found if one is not None]
