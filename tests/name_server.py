"""A DNS server on this machine: a test chooses whether it answers correctly, wrongly, slowly or not at all."""

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import NamedTuple

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset


class Question(NamedTuple):
    host: str
    type: str
    transport: str


@dataclass
class Host:
    """What is said of a host. One with several `versions` answers each question for A with the next of them."""

    addresses: list[str] = field(default_factory=list)
    versions: list[list[str]] = field(default_factory=list)
    aliases: list[str] = field(default_factory=list)
    ttl: int = 60
    rcode: dns.rcode.Rcode = dns.rcode.NOERROR
    is_silent: bool = False
    silent_types: frozenset[str] = frozenset()
    is_truncated: bool = False
    is_garbled: bool = False
    delay: float = 0


class NameServer:
    """`hosts` are the ones it knows, by name; a name `*.example` stands for all below it. `asked` is what was asked."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.hosts: dict[str, Host] = {}
        self.asked: list[Question] = []
        self.is_over = threading.Event()

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    def knows(self, host: str, *addresses: str, ttl: int = 60) -> Host:
        self.hosts[host] = Host(list(addresses), ttl=ttl)
        return self.hosts[host]

    def is_silent_about(self, host: str) -> None:
        self.hosts[host] = Host(is_silent=True)

    def wait_for(self, end: str, *, seconds: float = 20) -> None:
        """Wait until somebody asks for a host with this name, or a name that ends so."""
        deadline = time.monotonic() + seconds
        while not any(question.host.endswith(end) for question in list(self.asked)):
            assert time.monotonic() < deadline, f"nobody asked for {end}"
            time.sleep(0.01)

    def answer(self, wire: bytes, transport: str) -> bytes | None:
        """Return the answer to a question, or nothing."""
        request = dns.message.from_wire(wire)
        (question,) = request.question
        name = question.name.to_text(omit_final_dot=True).lower()
        type_ = dns.rdatatype.to_text(question.rdtype)
        self.asked.append(Question(name, type_, transport))
        host = self.hosts.get(name) or self.hosts.get(f"*.{name.partition('.')[2]}") or Host(rcode=dns.rcode.NXDOMAIN)
        if host.is_silent or type_ in host.silent_types:
            return None
        self.is_over.wait(host.delay)
        if host.is_garbled:
            return wire[:2] + b"\xff" * 40
        response = dns.message.make_response(request)
        response.flags |= dns.flags.RA
        response.set_rcode(host.rcode)
        owner = question.name
        for alias in host.aliases:
            response.answer.append(dns.rrset.from_text(owner, host.ttl, "IN", "CNAME", f"{alias}."))
            owner = dns.name.from_text(alias)
        addresses = host.addresses
        if host.versions and type_ == "A":
            addresses = host.versions.pop(0) if len(host.versions) > 1 else host.versions[0]
        of_type = [one for one in addresses if ip_address(one).version == (4 if type_ == "A" else 6)]
        if host.is_truncated and transport == "UDP":
            response.flags |= dns.flags.TC
        elif of_type and type_ in {"A", "AAAA"}:
            response.answer.append(dns.rrset.from_text_list(owner, host.ttl, "IN", type_, of_type))
        return response.to_wire(max_size=65_535)


@contextmanager
def name_server() -> Iterator[NameServer]:
    """Run a name server on a free port of this machine, for UDP and TCP."""
    listener, datagrams = _bind()
    server = NameServer(listener.getsockname()[1])

    def answer_datagram(wire: bytes, client: tuple[str, int]) -> None:
        answer = server.answer(wire, "UDP")
        with suppress(OSError):
            if answer is not None:
                datagrams.sendto(answer, client)

    def serve_datagrams() -> None:
        with suppress(OSError):
            # Nothing is received when the socket is shut down.
            while (received := datagrams.recvfrom(4096))[0]:
                wire, client = received
                threading.Thread(target=answer_datagram, args=(wire, client), daemon=True).start()

    def answer_connection(connection: socket.socket) -> None:
        with connection, suppress(OSError, struct.error):
            (length,) = struct.unpack("!H", connection.recv(2))
            answer = server.answer(connection.recv(length), "TCP")
            if answer is None:
                server.is_over.wait()
            else:
                connection.sendall(struct.pack("!H", len(answer)) + answer)

    def serve_connections() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=answer_connection, args=(connection,), daemon=True).start()

    serving = [threading.Thread(target=serve, daemon=True) for serve in (serve_datagrams, serve_connections)]
    for thread in serving:
        thread.start()
    try:
        yield server
    finally:
        server.is_over.set()
        # `close` alone would not end what waits for the next question.
        for one in (listener, datagrams):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in serving:
            thread.join(5)


def _bind() -> tuple[socket.socket, socket.socket]:
    while True:
        listener = socket.create_server(("127.0.0.1", 0))
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            datagrams.bind(listener.getsockname())
        except OSError:
            listener.close()
            datagrams.close()
        else:
            return listener, datagrams
