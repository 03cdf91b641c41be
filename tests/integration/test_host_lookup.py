"""Looking up hosts with a name server that answers, and with one that does not."""

import asyncio
import errno
import time
from collections.abc import Iterator
from pathlib import Path

import dns.rcode
import pytest

from app.delivery import host_lookup
from app.delivery.host_lookup import HostLookup, HostNotFound, LocalResourcesExhausted
from tests.name_server import NameServer, Question, name_server


@pytest.fixture
def server() -> Iterator[NameServer]:
    with name_server() as server:
        yield server


@pytest.fixture
def lookup(server: NameServer, tmp_path: Path) -> HostLookup:
    return HostLookup(
        [server.address], resolver_file=tmp_path / "resolv.conf", hosts_file=tmp_path / "hosts", seconds=20
    )


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_both_kinds_of_addresses_are_found_and_alternate(lookup: HostLookup, server: NameServer) -> None:
    server.knows("both.example", "192.0.2.1", "2001:db8::1", "192.0.2.2", "192.0.2.3")

    found = await lookup.addresses("both.example")

    assert [":" in address for address in found] == [False, True, False, False]
    assert sorted(found) == ["192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1"]


async def test_aliases_are_followed(lookup: HostLookup, server: NameServer) -> None:
    server.knows("alias.example", "192.0.2.1").aliases = ["one.example", "two.example"]

    assert await lookup.addresses("alias.example") == ["192.0.2.1"]


async def test_a_truncated_answer_is_asked_for_again_over_tcp(lookup: HostLookup, server: NameServer) -> None:
    addresses = [f"192.0.2.{number}" for number in range(1, 101)]
    server.knows("long.example", *addresses).is_truncated = True

    found = await lookup.addresses("long.example")

    assert set(found) < set(addresses)
    assert Question("long.example", "A", "TCP") in server.asked


async def test_an_answer_that_would_take_long_to_read_is_refused(lookup: HostLookup, server: NameServer) -> None:
    addresses = [f"10.{a}.{b}.1" for a in range(16) for b in range(250)]
    server.knows("bomb.example", *addresses).is_truncated = True

    with pytest.raises(HostNotFound):
        await lookup.addresses("bomb.example")


@pytest.mark.parametrize("rcode", [dns.rcode.NXDOMAIN, dns.rcode.SERVFAIL, dns.rcode.REFUSED])
async def test_a_host_that_is_not_known_is_not_found(
    server: NameServer, tmp_path: Path, rcode: dns.rcode.Rcode
) -> None:
    lookup = HostLookup([server.address], resolver_file=tmp_path / "none", hosts_file=tmp_path / "none", seconds=0.5)
    server.knows("unknown.example").rcode = rcode

    with pytest.raises(HostNotFound):
        await lookup.addresses("unknown.example")


async def test_a_host_without_addresses_is_not_found(lookup: HostLookup, server: NameServer) -> None:
    server.knows("empty.example")

    with pytest.raises(HostNotFound):
        await lookup.addresses("empty.example")


async def test_garbage_is_no_answer(server: NameServer, tmp_path: Path) -> None:
    lookup = HostLookup([server.address], resolver_file=tmp_path / "none", hosts_file=tmp_path / "none", seconds=0.5)
    server.knows("garbled.example").is_garbled = True

    with pytest.raises(HostNotFound):
        await lookup.addresses("garbled.example")


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a." * 130 + "example", "..", "", "xn--", "\ud800.example"])
async def test_what_is_no_host_name_is_not_found(lookup: HostLookup, host: str) -> None:
    with pytest.raises(HostNotFound):
        await lookup.addresses(host)


async def test_silence_ends_a_look_up_and_leaves_nothing_behind(server: NameServer, tmp_path: Path) -> None:
    lookup = HostLookup([server.address], resolver_file=tmp_path / "none", hosts_file=tmp_path / "none", seconds=0.3)
    server.is_silent_about("*.silent.example")
    open_before = open_files()

    answers = await asyncio.gather(
        *(lookup.addresses(f"{number}.silent.example") for number in range(50)), return_exceptions=True
    )

    assert [str(answer) for answer in answers] == ["no name server answered for the host"] * 50
    assert all(isinstance(answer, HostNotFound) for answer in answers)
    await asyncio.sleep(0)
    assert open_files() <= open_before + 2
    assert len(asyncio.all_tasks()) == 1


async def test_silence_about_many_hosts_keeps_no_other_host_waiting(lookup: HostLookup, server: NameServer) -> None:
    server.is_silent_about("*.silent.example")
    server.knows("answers.example", "192.0.2.1")
    silent = [asyncio.create_task(lookup.addresses(f"{number}.silent.example")) for number in range(200)]
    await asyncio.to_thread(server.wait_for, "199.silent.example")

    assert await lookup.addresses("answers.example") == ["192.0.2.1"]

    assert not any(task.done() for task in silent)
    for task in silent:
        task.cancel()
    await asyncio.wait(silent)


async def test_silence_about_one_kind_of_address_does_not_hide_the_other(server: NameServer, tmp_path: Path) -> None:
    lookup = HostLookup([server.address], resolver_file=tmp_path / "none", hosts_file=tmp_path / "none", seconds=1)
    server.knows("half.example", "192.0.2.1").silent_types = frozenset({"AAAA"})

    assert await lookup.addresses("half.example") == ["192.0.2.1"]


async def test_a_slow_name_server_is_waited_for(lookup: HostLookup, server: NameServer) -> None:
    server.knows("slow.example", "192.0.2.1").delay = 0.3

    assert await lookup.addresses("slow.example") == ["192.0.2.1"]


async def test_an_answer_is_kept_for_its_ttl_and_not_longer(
    lookup: HostLookup, server: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    elapsed = 0.0
    clock = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: clock() + elapsed)
    timed = HostLookup([server.address])
    server.knows("kept.example", "192.0.2.1", ttl=60)
    server.knows("long.example", "192.0.2.1", ttl=2**31 - 1)
    server.knows("fresh.example", "192.0.2.1", ttl=0)

    def asked(host: str) -> int:
        return server.asked.count(Question(host, "A", "UDP"))

    for _ in range(2):
        for host in ("kept.example", "long.example", "fresh.example"):
            await timed.addresses(host)
    assert (asked("kept.example"), asked("long.example"), asked("fresh.example")) == (1, 1, 2)
    elapsed = 61
    await timed.addresses("kept.example")
    await timed.addresses("long.example")
    assert (asked("kept.example"), asked("long.example")) == (2, 1)
    elapsed = 301
    await timed.addresses("long.example")
    assert asked("long.example") == 2


async def test_a_failure_is_not_kept(lookup: HostLookup, server: NameServer) -> None:
    with pytest.raises(HostNotFound):
        await lookup.addresses("late.example")

    server.knows("late.example", "192.0.2.1")

    assert await lookup.addresses("late.example") == ["192.0.2.1"]


async def test_what_is_kept_is_bounded(lookup: HostLookup, server: NameServer) -> None:
    server.knows("*.many.example", "192.0.2.1")

    for number in range(host_lookup._MAX_CACHED_HOSTS + 50):
        await lookup.addresses(f"{number}.many.example")

    assert len(lookup._cache) == host_lookup._MAX_CACHED_HOSTS


async def test_the_hosts_file_goes_first_and_is_read_again_when_it_changes(server: NameServer, tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    lookup = HostLookup([server.address], hosts_file=hosts)
    server.knows("listed.example", "192.0.2.1")
    assert await lookup.addresses("listed.example") == ["192.0.2.1"]

    hosts.write_text("# comment\n10.0.0.5 Listed.Example other # more\n::5 listed.example\nnonsense listed.example\n\n")
    assert await lookup.addresses("listed.example") == ["10.0.0.5", "::5"]
    assert await lookup.addresses("OTHER.") == ["10.0.0.5"]

    hosts.unlink()
    assert await lookup.addresses("listed.example") == ["192.0.2.1"]


async def test_this_machine_is_known_without_a_file(lookup: HostLookup) -> None:
    assert await lookup.addresses("localhost") == ["127.0.0.1", "::1"]
    assert await lookup.addresses("hook.localhost.") == ["127.0.0.1", "::1"]


async def test_names_of_one_word_are_looked_up_in_the_search_list(server: NameServer, tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text("nameserver 192.0.2.53\nsearch internal.example\noptions ndots:1\n")
    lookup = HostLookup([server.address], resolver_file=file, hosts_file=tmp_path / "none")
    server.knows("hooks.internal.example", "192.0.2.1")
    server.knows("service", "192.0.2.2")

    assert await lookup.addresses("hooks") == ["192.0.2.1"]
    assert await lookup.addresses("service") == ["192.0.2.2"]


async def test_the_name_servers_of_the_file_are_asked_and_followed_when_it_changes(
    monkeypatch: pytest.MonkeyPatch, server: NameServer, tmp_path: Path
) -> None:
    monkeypatch.setattr(host_lookup, "_DNS_PORT", server.port)
    file = tmp_path / "resolv.conf"
    file.write_text("nameserver 127.0.0.99\noptions timeout:1\n")
    lookup = HostLookup(resolver_file=file, hosts_file=tmp_path / "none", seconds=1)
    server.knows("moved.example", "192.0.2.1")
    with pytest.raises(HostNotFound):
        await lookup.addresses("moved.example")

    file.write_text("nameserver 127.0.0.1\n# changed\n")
    assert await lookup.addresses("moved.example") == ["192.0.2.1"]

    file.unlink()
    server.knows("local.example", "192.0.2.2")
    assert await lookup.addresses("local.example") == ["192.0.2.2"]


async def test_addresses_are_not_looked_up(lookup: HostLookup, server: NameServer) -> None:
    assert await lookup.addresses("192.0.2.1") == ["192.0.2.1"]
    assert await lookup.addresses("[2001:DB8::1]") == ["2001:db8::1"]
    assert await lookup.addresses("2001:db8::1") == ["2001:db8::1"]
    assert server.asked == []


async def test_a_lack_of_sockets_is_not_the_fault_of_the_host(
    lookup: HostLookup, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(asyncio.get_running_loop(), "create_datagram_endpoint", fail)

    with pytest.raises(LocalResourcesExhausted):
        await lookup.addresses("any.example")
