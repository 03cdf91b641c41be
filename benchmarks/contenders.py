"""Starts each contender, with accounts and the requests that are measured."""

import json
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
from sqlalchemy import URL

from benchmarks.process import started
from benchmarks.wrk import Target
from tests.e2e.server import free_port

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
EMAILS = [f"ada{number}@example.com" for number in range(32)]
TEXT = ("Seen this morning: " + "the quick brown fox jumps over the lazy dog, " * 8)[:280]

_UVICORN = [str(BIN / "uvicorn"), "--loop", "uvloop", "--http", "httptools", "--no-access-log"]
PASSWORD = "correct horse battery"  # noqa: S105


class Account(msgspec.Struct):
    """A user's account: the requests that list and add posts, and functions that return the texts and their number."""

    email: str
    listing: Target
    adding: Target
    texts: Callable[[], list[str]]
    count: Callable[[], int]

    def add(self, count: int) -> list[str]:
        """Add so many posts, and return their texts.

        Raises:
            httpx.HTTPStatusError: A post was refused.
        """
        bodies = [self.adding.body.replace("Seen", f"Seen {number:04}") for number in range(count)]
        with httpx.Client(headers=self.adding.headers) as client:
            for body in bodies:
                client.post(self.adding.url, content=body).raise_for_status()
        return [json.loads(body)["text"] for body in bodies]


class Contender(msgspec.Struct):
    """A started server, with its process id and its accounts."""

    process: int
    url: str
    accounts: list[Account]

    @property
    def listing(self) -> list[Target]:
        """The requests that list posts, one for each account."""
        return [account.listing for account in self.accounts]

    @property
    def logging_in(self) -> list[Target]:
        """Postline's requests that log in, one for each account."""
        headers = {"content-type": "application/json"}
        return [
            Target(
                f"{self.url}/auth/login",
                headers=headers,
                method="POST",
                body=_json(email=account.email, password=PASSWORD),
            )
            for account in self.accounts
        ]

    @property
    def adding(self) -> list[Target]:
        """The requests that add a post, one for each account."""
        return [account.adding for account in self.accounts]

    def count(self) -> int:
        """Return the number of posts of all accounts."""
        return sum(account.count() for account in self.accounts)


@contextmanager
def postline(
    folder: Path, *, database: URL | None = None, workers: int = 1, settings: dict[str, str] | None = None
) -> Iterator[Contender]:
    """Start Postline for production, as README says. It uses SQLite unless a migrated database is given."""
    url = _free_url()
    chosen = _for_production(folder)
    if database is not None:
        chosen["DATABASE_URL"] = database.render_as_string(hide_password=False)
    command = [*_litestar("app.application:create_app", url), "--wc", str(workers)]
    with started(command, folder, f"{url}/health/ready", settings=chosen | (settings or {}), cores=workers) as process:
        yield Contender(process, url, [_sign_up(url, email) for email in EMAILS])


@contextmanager
def starting_postline(folder: Path) -> Iterator[tuple[int, float]]:
    """Start Postline on the SQLite file in the folder; yield its process id and the seconds until it was ready."""
    with _timed("app.application:create_app", folder, _for_production(folder)) as timed:
        yield timed


@contextmanager
def starting_models_only(folder: Path) -> Iterator[tuple[int, float]]:
    """Start bare Litestar with Postline's models; yield its process id and the seconds until it was ready."""
    with _timed("benchmarks.apps.models_only:app", folder, {}) as timed:
        yield timed


@contextmanager
def _timed(app: str, folder: Path, settings: dict[str, str]) -> Iterator[tuple[int, float]]:
    url = _free_url()
    started_at = time.monotonic()
    with started(_litestar(app, url), folder, f"{url}/health/ready", settings=settings) as process:
        yield process, time.monotonic() - started_at


def _for_production(folder: Path) -> dict[str, str]:
    return {
        "ENVIRONMENT": "production",
        "JWT_SECRET": secrets.token_hex(32),
        "ACCESS_TOKEN_SECONDS": "3600",
        "AUTH_RATE_LIMIT": "1000000/second",
        "DATA_DIR": str(folder / "data"),
    }


def _litestar(app: str, url: str) -> list[str]:
    return [str(BIN / "litestar"), "--app-dir", str(ROOT), "--app", app, "run", "--port", url.rpartition(":")[2]]


@contextmanager
def fastapi_build(folder: Path, *, database: URL | None = None, cache: bool = True) -> Iterator[Contender]:
    """Start the FastAPI build, which creates its tables. It uses SQLite unless a database is given."""
    url = _free_url()
    database = database or URL.create("sqlite+aiosqlite", database=str(folder / "fastapi.db"))
    settings = {"DATABASE_URL": database.render_as_string(hide_password=False), "CACHE": "on" if cache else "off"}
    with started(_uvicorn("fastapi_build", url), folder, f"{url}/openapi.json", settings=settings) as process:
        yield Contender(process, url, [_sign_up(url, email) for email in EMAILS])


@contextmanager
def hello(folder: Path) -> Iterator[Target]:
    """Start the bare framework, and yield its only request."""
    url = _free_url()
    with started(_uvicorn("hello", url), folder, f"{url}/hello"):
        yield Target(f"{url}/hello")


@contextmanager
def core_insert(folder: Path, *, database: URL) -> Iterator[Target]:
    """Start the bare insert, which creates its table, and yield its only request."""
    url = _free_url()
    settings = {"DATABASE_URL": database.render_as_string(hide_password=False)}
    with started(_uvicorn("core_insert", url), folder, url, settings=settings):
        headers = {"content-type": "application/json"}
        yield Target(f"{url}/posts", headers=headers, method="POST", body=_json(text=TEXT))


@contextmanager
def pocketbase(folder: Path) -> Iterator[Contender]:
    """Start PocketBase with posts that only their owner can access, and without its request log.

    Raises:
        AssertionError: Its commits do not wait for the disk.
    """
    url = _free_url()
    options = [f"--dir={folder / 'pb_data'}", f"--hooksDir={ROOT / 'benchmarks/apps/pb_hooks'}", "--hooksWatch=false"]
    program, admin = str(BIN / "pocketbase"), "admin@example.com"
    subprocess.run(
        [program, "superuser", "upsert", admin, PASSWORD, *options], check=True, capture_output=True, cwd=folder
    )
    serve = [program, "serve", f"--http={url.removeprefix('http://')}", *options]
    with (
        started(serve, folder, f"{url}/api/health", settings={"GOMAXPROCS": "1"}) as process,
        httpx.Client(base_url=url) as client,
    ):
        assert client.get("/synchronous").json() == {"synchronous": 2}
        superuser = _answer(
            client, "/api/collections/_superusers/auth-with-password", identity=admin, password=PASSWORD
        )
        client.headers["authorization"] = superuser["token"]
        client.patch("/api/settings", json={"logs": {"maxDays": 0}}).raise_for_status()
        _answer(client, "/api/collections", **_pocketbase_posts(client))
        yield Contender(process, url, [_sign_up_at_pocketbase(client, url, email) for email in EMAILS])


def _pocketbase_posts(client: httpx.Client) -> dict[str, Any]:
    users = client.get("/api/collections/users").raise_for_status().json()["id"]
    is_owner = "owner = @request.auth.id"
    return {
        "name": "posts",
        "type": "base",
        "fields": [
            {"name": "text", "type": "text", "required": True, "max": 1_048_576},
            {"name": "owner", "type": "relation", "collectionId": users, "required": True, "cascadeDelete": True},
            {"name": "created", "type": "autodate", "onCreate": True},
            {"name": "updated", "type": "autodate", "onCreate": True, "onUpdate": True},
        ],
        "indexes": ["CREATE INDEX posts_of_owner ON posts (owner, created)"],
        "listRule": is_owner,
        "viewRule": is_owner,
        "createRule": is_owner,
        "updateRule": is_owner,
        "deleteRule": is_owner,
    }


def _sign_up_at_pocketbase(client: httpx.Client, url: str, email: str) -> Account:
    user = {"email": email, "password": PASSWORD, "passwordConfirm": PASSWORD}
    owner = _answer(client, "/api/collections/users/records", **user)["id"]
    login = {"identity": email, "password": PASSWORD}
    token = _answer(client, "/api/collections/users/auth-with-password", **login)["token"]
    headers = {"authorization": token, "content-type": "application/json"}
    records = f"{url}/api/collections/posts/records"
    listing = Target(f"{records}?perPage=500&sort=-created&skipTotal=1", headers=headers)
    return Account(
        email=email,
        listing=listing,
        adding=Target(records, headers=headers, method="POST", body=_json(text=TEXT, owner=owner)),
        texts=lambda: [post["text"] for post in httpx.get(listing.url, headers=headers).json()["items"]],
        count=lambda: int(httpx.get(f"{records}?perPage=1", headers=headers).json()["totalItems"]),
    )


def _sign_up(url: str, email: str) -> Account:
    with httpx.Client(base_url=url) as client:
        token = _answer(client, "/auth/signup", email=email, password=PASSWORD)["access_token"]
    headers = {"authorization": f"Bearer {token}"}
    listing = Target(f"{url}/posts", headers=headers)

    def texts() -> list[str]:
        answer = httpx.get(listing.url, headers=headers, timeout=60).raise_for_status()
        return [post["text"] for post in answer.json()]

    adding = Target(
        listing.url, headers=headers | {"content-type": "application/json"}, method="POST", body=_json(text=TEXT)
    )
    return Account(email=email, listing=listing, adding=adding, texts=texts, count=lambda: len(texts()))


def _answer(client: httpx.Client, path: str, **body: Any) -> dict[str, Any]:
    answer: dict[str, Any] = client.post(path, json=body).raise_for_status().json()
    return answer


def _json(**body: str) -> str:
    return msgspec.json.encode(body).decode()


def _uvicorn(app: str, url: str) -> list[str]:
    return [*_UVICORN, "--app-dir", str(ROOT), f"benchmarks.apps.{app}:app", "--port", url.rpartition(":")[2]]


def _free_url() -> str:
    return f"http://127.0.0.1:{free_port()}"
