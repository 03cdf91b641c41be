"""Serves below a path prefix of a proxy."""

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send


class RootPathMiddleware:
    """Serves below a path prefix, whether the proxy strips it from requests or not.

    Handlers know nothing of it: the prefix is removed from a request's path, and added to the addresses in `Location`
    and `Link`. A prefix that the server was started with (ASGI's `root_path`) is removed too.
    """

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        self._app = app
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        # Litestar would remove the prefix wherever it stands in the path.
        for prefix in (scope.get("root_path", ""), self._root_path):
            scope["path"] = _without(prefix, scope["path"])
        scope["root_path"] = ""

        async def send_prefixed(message: Message) -> None:
            if message["type"] == "http.response.start":
                # A copy: the original may be in the cache.
                message = {**message, "headers": [self._prefixed(name, value) for name, value in message["headers"]]}
            await send(message)

        await self._app(scope, receive, send_prefixed)

    def _prefixed(self, name: bytes, value: bytes) -> tuple[bytes, bytes]:
        root = self._root_path.encode()
        match name.lower():
            case b"location" if value.startswith(b"/"):
                return name, root + value
            case b"link":
                return name, value.replace(b"</", b"<" + root + b"/")
        return name, value


def _without(prefix: str, path: str) -> str:
    return path.removeprefix(prefix) or "/" if f"{path}/".startswith(f"{prefix}/") else path
