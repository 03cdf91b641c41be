"""Profiles of what the rows measure: the share of the process's CPU time that each library takes."""

import asyncio
import json
import logging
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import uvloop
from litestar import Litestar
from pydantic import SecretStr
from sqlalchemy import URL

from app.application import create_app
from app.settings import Settings
from benchmarks.contenders import EMAILS, PASSWORD, TEXT
from benchmarks.measuring import MIB, POSTS

_REQUESTS = 2000
_SAMPLE_SECONDS = 0.001
_NEW_POST = {"text": TEXT}
# The method, path and body of each kind of work, and the size of the cache.
_WORK: dict[str, tuple[str, str, Any, int]] = {
    "cached `GET /posts`": ("GET", "/posts", None, 64 * MIB),
    "uncached `GET /posts`": ("GET", "/posts", None, 0),
    "`POST /posts`": ("POST", "/posts", _NEW_POST, 0),
    "`GET /posts/changes`": ("GET", f"/posts/changes?since={POSTS // 2}", None, 0),
    "`GET /posts?q=…`, which every post has": ("GET", f"/posts?q={TEXT.split()[0]}", None, 0),
}

# The driver is compiled and has no frames of its own, so its time is found in these callers.
_DRIVER_CALLERS = {"_execute_async", "_executemany_async", "_do_ping"}
_OWNERS = {
    "/litestar/": "Litestar",
    "/sqlalchemy/": "SQLAlchemy",
    "/asyncmy/": "the driver",
    "/app/": "Postline",
    "/controllers/": "Postline",
    "/models/": "Postline",
}
OWNERS = [*dict.fromkeys(_OWNERS.values()), "Python and the rest"]

Shares = dict[str, float]


def breakdown(new_database: Callable[[], URL], folder: Path) -> dict[str, Shares]:
    """Return, for each kind of work on a new migrated database, the shares of the process's CPU time by owner."""
    # The service's log would mix with the results.
    logging.disable(logging.INFO)
    shares = {}
    for work, (method, path, body, cache_bytes) in _WORK.items():
        settings = Settings(
            _env_file=None,  # pyright: ignore[reportCallIssue] - pydantic-settings takes it at run time
            database_url=new_database().render_as_string(hide_password=False),
            data_dir=folder,
            jwt_secret=SecretStr("only for this profile, and long enough"),
            auth_rate_limit="1000/second",
            access_log_seconds=60,
            cache_max_bytes=cache_bytes,
        )
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            samples = runner.run(_sampled(create_app(settings), method, path, body))
        shares[work] = {owner: samples[owner] / samples.total() for owner in OWNERS}
    return shares


async def _sampled(app: Litestar, method: str, path: str, body: Any) -> Counter[str]:
    async with app.lifespan():
        bearers = [await _with_posts(app, email) for email in EMAILS]

        async def ask_often(bearer: str) -> None:
            for _ in range(_REQUESTS // len(bearers)):
                await _ask(app, method, path, body, bearer)

        await asyncio.gather(*map(ask_often, bearers))
        with _sampling() as samples:
            await asyncio.gather(*map(ask_often, bearers))
    return samples


async def _with_posts(app: Litestar, email: str) -> str:
    """Sign a user up, add their posts, and return their `Authorization` header."""
    token = json.loads(await _ask(app, "POST", "/auth/signup", {"email": email, "password": PASSWORD}))
    bearer = f"Bearer {token['access_token']}"
    for _ in range(POSTS):
        await _ask(app, "POST", "/posts", _NEW_POST, bearer)
    return bearer


@contextmanager
def _sampling() -> Iterator[Counter[str]]:
    """Sample whose code runs, after each millisecond of CPU time. Profilers can't follow SQLAlchemy's greenlets."""
    samples: Counter[str] = Counter()

    def note(_: int, frame: FrameType | None) -> None:
        if frame is not None:
            samples[_owner(frame.f_code)] += 1

    before = signal.signal(signal.SIGPROF, note)
    signal.setitimer(signal.ITIMER_PROF, _SAMPLE_SECONDS, _SAMPLE_SECONDS)
    try:
        yield samples
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


async def _ask(app: Litestar, method: str, path: str, body: Any, bearer: str = "") -> bytes:
    answer: list[Any] = []
    content = b"" if body is None else json.dumps(body).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    if bearer:
        headers.append((b"authorization", bearer.encode()))
    path, _, query = path.partition("?")
    scope: Any = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "scheme": "http",
        "http_version": "1.1",
        "root_path": "",
        "state": {},
    }

    async def receive() -> Any:
        return {"type": "http.request", "body": content, "more_body": False}

    async def send(message: Any) -> None:
        answer.append(message)

    await app(scope, receive, send)
    assert answer[0]["status"] in {200, 201}, answer
    return b"".join(message.get("body", b"") for message in answer[1:])


def _owner(code: CodeType) -> str:
    if code.co_name in _DRIVER_CALLERS:
        return "the driver"
    return next((owner for part, owner in _OWNERS.items() if part in code.co_filename), "Python and the rest")
