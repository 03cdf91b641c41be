"""Which addresses webhooks may call: public ones, the same on every version of Python, and those that are allowed."""

from ipaddress import ip_network

import pytest

from app.delivery.destinations import ForbiddenDestination, PublicDestinations

# The first and the last address of what IANA lists as special and not globally reachable, and what lies around it.
NOT_PUBLIC = [
    "0.0.0.1", "0.255.255.255", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255", "100.100.100.200",
    "127.0.0.1", "127.255.255.255", "169.254.0.0", "169.254.169.254", "169.254.255.255", "172.16.0.0",
    "172.31.255.255", "192.0.0.0", "192.0.0.8", "192.0.0.9", "192.0.0.170", "192.0.0.192", "192.0.0.255",
    "192.0.2.0", "192.0.2.255", "192.88.99.0", "192.88.99.1", "192.88.99.2", "192.88.99.255", "192.168.0.0",
    "192.168.255.255", "198.18.0.0", "198.19.255.255", "198.51.100.0", "198.51.100.255", "203.0.113.0",
    "203.0.113.255", "224.0.0.0", "239.255.255.255", "240.0.0.0", "255.255.255.254", "255.255.255.255",
    "168.63.129.16",
    "::", "::1", "::7f00:1", "::8.8.8.8", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "::ffff:0:8.8.8.8",
    "64:ff9b::10.0.0.1", "64:ff9b::192.88.99.1", "64:ff9b::ffff:ffff", "64:ff9b:1::", "64:ff9b:1::8.8.8.8",
    "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", "100::", "100::ffff:ffff:ffff:ffff", "100:0:0:1::",
    "100:0:0:1:ffff:ffff:ffff:ffff", "100:0:0:2::", "200::1", "400::1", "1000::1", "1fff:ffff::1",
    "2001::", "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:1::", "2001:1::4", "2001:2::", "2001:2::1",
    "2001:2:0:ffff::1", "2001:2:1::1", "2001:4::1", "2001:4:113::1", "2001:10::1", "2001:1f:ffff::1", "2001:40::1",
    "2001:1ff:ffff::1", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "2002:a00:1::", "2002:7f00:1::1",
    "2002:c058:6301::", "3fff::", "3fff::1", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", "4000::1", "5f00::",
    "5f00::1", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "8000::1", "fbff::1", "fc00::", "fd00:ec2::254",
    "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fe00::1", "fe80::", "fe80::1", "febf::1", "fec0::1", "feff::1",
    "ff02::1", "ff0e::1",
]  # fmt: skip

PUBLIC = [
    "1.0.0.0", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
    "128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "191.255.255.255", "192.0.1.0",
    "192.0.3.0", "192.31.196.1", "192.52.193.1", "192.88.98.255", "192.88.100.0", "192.167.255.255", "192.169.0.0",
    "192.175.48.1", "198.17.255.255", "198.20.0.0", "198.51.99.255", "198.51.101.0", "203.0.112.255", "203.0.114.0",
    "223.255.255.255", "168.63.129.15",
    "64:ff9b::8.8.8.8", "2000::1", "2001:1::1", "2001:1::2", "2001:1::3", "2001:3::1", "2001:4:112::1", "2001:20::1",
    "2001:2f:ffff::1", "2001:30::1", "2001:3f:ffff::1", "2001:200::1", "2001:db7:ffff::1", "2001:db9::1",
    "2001:4860:4860::8888", "2002:808:808::1", "2003::1", "2606:4700::1111", "2620:4f:8000::1", "3ffe:ffff::1",
    "3fff:1000::1",
]  # fmt: skip


@pytest.mark.parametrize("address", NOT_PUBLIC)
async def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    with pytest.raises(ForbiddenDestination):
        await PublicDestinations().resolve(address)


@pytest.mark.parametrize("address", PUBLIC)
async def test_a_public_address_may_be_called(address: str) -> None:
    assert await PublicDestinations().resolve(address)


async def test_what_the_operator_allows_may_be_called_though_it_is_not_public() -> None:
    destinations = PublicDestinations(map(ip_network, ("10.0.0.0/8", "fd00::/8")))

    assert await destinations.resolve("10.1.2.3") == ["10.1.2.3"]
    assert await destinations.resolve("fd00::1") == ["fd00::1"]
    # By a translator, it is the same address.
    assert await destinations.resolve("64:ff9b::10.1.2.3")
    for address in ("192.168.0.1", "::ffff:10.1.2.3", "64:ff9b::192.168.0.1", "fe80::1"):
        with pytest.raises(ForbiddenDestination):
            await destinations.resolve(address)


async def test_to_allow_all_of_ipv6_does_not_allow_the_ipv4_within() -> None:
    destinations = PublicDestinations([ip_network("::/0")])

    assert await destinations.resolve("fd00::1")
    for address in ("::ffff:10.0.0.1", "64:ff9b::10.0.0.1", "2002:a00:1::"):
        with pytest.raises(ForbiddenDestination):
            await destinations.resolve(address)
