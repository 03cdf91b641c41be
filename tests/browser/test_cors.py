"""A page of another site that uses the API with `fetch`."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.e2e.server import Client, Server, serving


class _BlankPage(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>Another site</title>")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """The origin of another site."""
    with HTTPServer(("127.0.0.1", 0), _BlankPage) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def service(site: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("cors"), settings={"CORS_ALLOWED_ORIGINS": site}) as server:
        yield server


@pytest.fixture
def window(browser: Browser, site: str) -> Iterator[Page]:
    context = browser.new_context()
    page = context.new_page()
    page.goto(site)
    yield page
    context.close()


_FETCH = """async ([url, method, headers, body]) => {
  const over = new AbortController();
  try {
    const answer = await fetch(url, { method, headers, body, signal: over.signal });
    return { status: answer.status, etag: answer.headers.get("ETag"), type: answer.headers.get("Content-Type") };
  } catch (error) {
    return { error: String(error) };
  } finally {
    over.abort();
  }
}"""

_OF_LIBRARIES = {
    "Accept": "text/event-stream",
    "Baggage": "a=b",
    "Cache-Control": "no-cache",
    "Last-Event-ID": "0",
    "Pragma": "no-cache",
    "Traceparent": f"00-{'1' * 32}-{'2' * 16}-01",
    "Tracestate": "a=b",
    "X-Requested-With": "XMLHttpRequest",
}


def test_a_page_of_an_allowed_site_sends_every_method_with_the_headers_of_its_libraries(
    window: Page, service: Server
) -> None:
    ada = Client.sign_up(service.url, "ada@example.com")
    path = f"/posts/{ada.add('hello')}"
    headers = _OF_LIBRARIES | {"Authorization": f"Bearer {ada.tokens['access_token']}"}
    as_json = headers | {"Content-Type": "application/json", "If-Match": "*"}

    def send(method: str, path: str, body: str | None = None) -> Any:
        sent = as_json | {"Idempotency-Key": f"one-{method}"} if body else headers
        return window.evaluate(_FETCH, [f"{service.url}{path}", method, sent, body])

    assert send("GET", "/posts/events")["type"].startswith("text/event-stream")
    assert send("HEAD", "/posts") == {"status": 200, "etag": '"1"', "type": "application/json"}
    assert send("GET", "/posts")["etag"] == '"1"'
    assert send("POST", "/posts", '{"text": "x"}')["status"] == 201
    assert send("PATCH", path, '{"text": "y"}')["etag"] == '"2"'
    assert send("PUT", "/me/password", "{}")["status"] == 400
    assert send("DELETE", path)["status"] == 204
    assert send("GET", path)["status"] == 404


def test_a_page_of_another_site_reads_nothing(browser: Browser, site: str, service: Server) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(site.replace("127.0.0.1", "localhost"))

    answer = page.evaluate(_FETCH, [f"{service.url}/health/live", "GET", {}, None])

    context.close()
    assert answer == {"error": "TypeError: Failed to fetch"}
