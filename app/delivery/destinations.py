"""The addresses that webhooks may call: public ones, and networks that the operator allows."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from typing_extensions import override

from app.delivery.host_lookup import HostLookup, HostNotFound, LocalResourcesExhausted
from app.errors import InvalidRequest, Overloaded
from app.ports.security import Destinations

Network = IPv4Network | IPv6Network
_Address = IPv4Address | IPv6Address


def _networks(*networks: str) -> tuple[Network, ...]:
    return tuple(map(ip_network, networks))


# IANA's special-purpose registries (RFC 6890) of 2025: what is not globally reachable. Written out, because `ipaddress`
# knows those of its Python's release. Networks that are listed without an answer to that are here too.
_SPECIAL = _networks(
    "0.0.0.0/8",  # this network
    "10.0.0.0/8",  # private use
    "100.64.0.0/10",  # shared address space
    "127.0.0.0/8",  # loopback
    "169.254.0.0/16",  # link-local
    "172.16.0.0/12",  # private use
    "192.0.0.0/24",  # protocol assignments; the two that are global are no servers
    "192.0.2.0/24",  # documentation
    "192.88.99.0/24",  # relays of 6to4
    "192.168.0.0/16",  # private use
    "198.18.0.0/15",  # benchmarks
    "198.51.100.0/24",  # documentation
    "203.0.113.0/24",  # documentation
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # reserved, and broadcast
    "168.63.129.16/32",  # Azure's host
    "2001::/23",  # protocol assignments, Teredo and benchmarks among them
    "2001:db8::/32",  # documentation
    "3fff::/20",  # documentation
)

# Within those, what is globally reachable.
_GLOBAL = _networks(
    "2001:1::1/128",  # Port Control Protocol
    "2001:1::2/128",  # TURN
    "2001:1::3/128",  # DNS-SD registration
    "2001:3::/32",  # AMT
    "2001:4:112::/48",  # AS112
    "2001:20::/28",  # ORCHIDv2
    "2001:30::/28",  # drone identifiers
)

# Of IPv6, only this is assigned as global unicast: everything else is special (loopback, mapped and translated IPv4,
# discard-only, dummy prefix, segment routing, unique local, link-local, site-local, multicast) or reserved.
_GLOBAL_UNICAST = IPv6Network("2000::/3")

# A translator (RFC 6052) forwards these to the IPv4 address in the last 32 bits.
_TRANSLATED = IPv6Network("64:ff9b::/96")


class ForbiddenDestination(Exception):
    """The host resolves to an address that may not be called, or to none."""


class PublicDestinations(Destinations):
    """Resolves host names, and refuses those with an address that is neither public nor in an `allowed` network."""

    def __init__(self, allowed: Iterable[Network] = (), lookup: HostLookup | None = None) -> None:
        self._allowed = tuple(allowed)
        self._lookup = lookup or HostLookup()

    @override
    async def check(self, url: str) -> None:
        try:
            await self.resolve(urlsplit(url).hostname or "")
        except ForbiddenDestination as error:
            message = str(error)
            raise InvalidRequest("The address can't be used.", [{"field": "url", "message": message}]) from None
        except LocalResourcesExhausted:
            raise Overloaded("Host names can't be looked up now.", headers={"Retry-After": "1"}) from None

    async def resolve(self, host: str) -> list[str]:
        """Return the addresses of the host.

        Raises:
            ForbiddenDestination: One of them may not be called, or there is none.
            LocalResourcesExhausted: The host could not be looked up.
        """
        try:
            addresses = await self._lookup.addresses(host)
        except HostNotFound as error:
            raise ForbiddenDestination(str(error)) from None
        if not all(self._is_allowed(ip_address(address)) for address in addresses):
            raise ForbiddenDestination("the host is not a public address")
        return addresses

    def _is_allowed(self, address: _Address) -> bool:
        return all(_is_in(one, self._allowed) or _is_public(one) for one in (address, *_embedded(address)))


def _is_public(address: _Address) -> bool:
    if isinstance(address, IPv6Address) and not _is_in(address, (_GLOBAL_UNICAST, _TRANSLATED)):
        return False
    return not _is_in(address, _SPECIAL) or _is_in(address, _GLOBAL)


def _is_in(address: _Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)


def _embedded(address: _Address) -> list[IPv4Address]:
    """Return the IPv4 addresses that packets to this IPv6 address may end up at."""
    if isinstance(address, IPv4Address):
        return []
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _TRANSLATED:
        found.append(IPv4Address(int(address) & 0xFFFF_FFFF))
    return [one for one in found if one is not None]
