"""An HTTP proxy that shows a service below a path, and strips that path from requests or keeps it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

_OF_A_CONNECTION = {"connection", "host", "keep-alive", "transfer-encoding"}


@contextmanager
def path_proxy_to(url: str, prefix: str, *, strips: bool) -> Iterator[str]:
    """Yield the proxy's own URL. It passes on only what is below the prefix."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != prefix and not self.path.startswith(f"{prefix}/"):
                self.send_error(404)
                return
            path = self.path.removeprefix(prefix) or "/" if strips else self.path
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _OF_A_CONNECTION}
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with (
                suppress(OSError, httpx.TransportError),
                httpx.stream(self.command, url + path, headers=headers, content=body, timeout=30) as answer,
            ):
                self.send_response(answer.status_code)
                for name, value in answer.headers.items():
                    if name not in _OF_A_CONNECTION:
                        self.send_header(name, value)
                self.end_headers()
                # This server speaks HTTP/1.0: the end of the connection ends the body.
                for part in answer.iter_raw():
                    self.wfile.write(part)
                    self.wfile.flush()

        do_POST = do_PATCH = do_PUT = do_DELETE = do_GET  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
