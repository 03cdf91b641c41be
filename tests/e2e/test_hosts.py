"""The names that a service with `ALLOWED_HOSTS` answers to, in a target or in `Host`."""

from collections.abc import Iterator

import pytest

from tests.e2e.raw_http import exchange, statuses
from tests.e2e.server import Server, serving


@pytest.fixture(scope="module")
def choosy_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service that answers to one name only."""
    with serving(tmp_path_factory.mktemp("choosy"), settings={"ALLOWED_HOSTS": "api.example.com,[::1]"}) as server:
        yield server


@pytest.mark.parametrize(
    ("target", "host", "status"),
    [
        (b"http://api.example.com/openapi.json", b"evil.example", b"200"),
        (b"HTTP://API.example.com.:8000/openapi.json?x=http://evil.example", b"evil.example", b"200"),
        (b"https://[::1]:8000/openapi.json", b"evil.example", b"200"),
        (b"http://api.example.com", b"evil.example", b"200"),
        (b"http://api.example.com?x=1", b"evil.example", b"200"),
        (b"http://evil.example/openapi.json", b"api.example.com", b"400"),
        (b"http://evil.example", b"api.example.com", b"400"),
        (b"http://api.example.com@evil.example/openapi.json", b"api.example.com", b"400"),
        (b"http://me@api.example.com/openapi.json", b"api.example.com", b"400"),
        (b"http:///openapi.json", b"api.example.com", b"400"),
        (b"http://:8000/openapi.json", b"api.example.com", b"400"),
        (b"ftp://api.example.com/openapi.json", b"api.example.com", b"400"),
        (b"//evil.example/openapi.json", b"api.example.com", b"404"),
        (b"/openapi.json", b"api.example.com", b"200"),
        (b"/openapi.json", b"api.example.com.", b"200"),
        (b"/openapi.json", b"api.example.com:", b"200"),
        (b"/openapi.json", b"\tapi.example.com \t", b"200"),
        (b"/openapi.json", b"[::1]:8000", b"200"),
        (b"/openapi.json", b"evil.example", b"400"),
        (b"/openapi.json", b"", b"400"),
    ],
)
def test_the_host_that_the_target_names_counts(
    choosy_server: Server, target: bytes, host: bytes, status: bytes
) -> None:
    lines = [b"GET " + target + b" HTTP/1.1", b"Host: " + host, b"Connection: close", b"", b""]

    assert statuses(exchange(choosy_server, b"\r\n".join(lines))) == [status]


def test_a_target_that_names_the_host_needs_the_header_too(choosy_server: Server) -> None:
    target = b"GET http://api.example.com/openapi.json"

    assert statuses(exchange(choosy_server, target + b" HTTP/1.1\r\nConnection: close\r\n\r\n")) == [b"400"]
    assert statuses(exchange(choosy_server, target + b" HTTP/1.0\r\n\r\n")) == [b"200"]
