"""What may be sent as a body, how much of it, and how much memory all bodies take together."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from httpx import AsyncClient
from litestar import Litestar

from app.application import create_app
from app.settings import Settings
from app.shares import Share
from tests.api.conftest import Fired
from tests.api.document import operations
from tests.api.people import PASSWORD, Person, assert_problem

JSON = {"content-type": "application/json"}
MISSING_ID = "01a20544-8f6d-7250-9b81-05646f62c3bb"
MEBIBYTE = 1_048_576

ROUTES = {
    ("POST", "/posts"): 1_048_576,
    ("PATCH", f"/posts/{MISSING_ID}"): 1_048_576,
    ("POST", "/webhooks"): 16_384,
    ("POST", "/auth/signup"): 4096,
    ("POST", "/auth/login"): 4096,
    ("POST", "/auth/refresh"): 4096,
    ("PUT", "/me/password"): 4096,
    ("DELETE", "/me"): 4096,
}


def escaped(value: dict[str, str]) -> bytes:
    """Return JSON with every character of every string escaped, which takes the most bytes."""

    def escape(text: str) -> str:
        units = text.encode("utf-16-be")
        return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))

    return ("{" + ", ".join(f'"{escape(name)}": "{escape(text)}"' for name, text in value.items()) + "}").encode()


async def in_chunks(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 65_536):
        yield body[start : start + 65_536]


async def routes_with_a_body(client: AsyncClient) -> dict[tuple[str, str], int]:
    """Return the limit of each route that takes a JSON body, as the document states it."""
    found = {}
    for (method, template), operation in operations((await client.get("/openapi.json")).json()).items():
        if "application/json" in operation.get("requestBody", {}).get("content", {}):
            said = operation["responses"]["413"]["description"]
            (number,) = re.findall("[0-9,]+", said)
            path = re.sub(r"\{\w+\}", MISSING_ID, template)
            found[method.upper(), path] = int(number.replace(",", ""))
    return found


async def test_a_body_may_be_as_large_as_its_route_needs(client: AsyncClient) -> None:
    assert ROUTES.items() <= (await routes_with_a_body(client)).items()


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_each_route_takes_a_body_up_to_its_limit_and_names_it(ada: Person, is_chunked: bool) -> None:
    for (method, path), limit in (await routes_with_a_body(ada.client)).items():
        fits = b'{"unknown": 1}'.ljust(limit)
        one_more = fits + b" "

        answers = [
            await ada.request(method, path, content=in_chunks(body) if is_chunked else body, headers=JSON)
            for body in (fits, one_more)
        ]

        assert answers[0].status_code == 400, path
        assert_problem(answers[1], 413)
        assert answers[1].json()["detail"] == f"The body is larger than {limit:,} bytes."


async def test_the_longest_valid_address_and_passwords_fit_however_they_are_written(client: AsyncClient) -> None:
    email = f"{'a' * 64}@{'b' * 60}.{'c' * 60}.{'d' * 59}.example"
    assert len(email) == 254
    passwords = ["🔑" * 128, "🗝" * 128]

    signed_up = await client.post(
        "/auth/signup", content=escaped({"email": email, "password": passwords[0]}), headers=JSON
    )
    assert signed_up.status_code == 201, signed_up.text
    person = Person(client, email, signed_up.json())
    change = {"current_password": passwords[0], "new_password": passwords[1]}
    assert (await person.request("PUT", "/me/password", content=escaped(change), headers=JSON)).status_code == 204
    log_in = escaped({"email": email, "password": passwords[1]})
    assert (await client.post("/auth/login", content=log_in, headers=JSON)).status_code == 200
    assert (
        await person.request("DELETE", "/me", content=escaped({"password": passwords[1]}), headers=JSON)
    ).status_code == 204


async def test_the_longest_valid_url_fits_however_it_is_written(ada: Person) -> None:
    url = "https://1.1.1.1/".ljust(2048, "x")

    response = await ada.request("POST", "/webhooks", content=escaped({"url": url}), headers=JSON)

    assert response.status_code == 201
    assert response.json()["url"] == url


@pytest.mark.parametrize(
    "body",
    [
        {str(number): 1 for number in range(101)},
        {"text": "a", "more": [1] * 100},
        {"text": [[{"a": [1] * 50}] * 2]},
        {"text": "a" * 100_000, "more": [1] * 20_000},
        {"text": "a" * 100_000} | {str(number): 1 for number in range(100)},
    ],
    ids=["fields", "items", "nested ones", "items beside a long text", "fields beside a long text"],
)
async def test_too_many_fields_and_items_are_refused_whatever_they_are(ada: Person, fired: Fired, body: object) -> None:
    response = await ada.request("POST", "/posts", json=body)

    assert_problem(response, 400)
    assert response.json()["detail"] == "The body has more than 100 fields and items."
    assert fired.take() == []


async def test_what_is_wrong_beside_a_long_text_is_named(ada: Person) -> None:
    assert_problem(await ada.request("POST", "/posts", json={"text": "a" * 100_000, "more": [1]}), 400, "more")
    assert_problem(await ada.request("POST", "/posts", json=["a" * 100_000]), 400)
    assert_problem(await ada.request("POST", "/posts", content=b'{"text": "%s' % (b"a" * 100_000), headers=JSON), 400)


async def test_the_name_of_an_unknown_field_is_not_repeated_whole(ada: Person) -> None:
    response = await ada.request("POST", "/posts", json={"text": "a", "n" * 100_000: 1})

    assert_problem(response, 400, "n" * 99 + "…")


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "br", "gzip, br", "identity, gzip", "unheard-of", "deflate,"])
async def test_a_body_with_a_content_coding_is_refused_by_every_route(ada: Person, fired: Fired, coding: str) -> None:
    for method, path in await routes_with_a_body(ada.client):
        response = await ada.request(method, path, json={"text": "hello"}, headers={"content-encoding": coding})

        assert_problem(response, 415)
        assert response.headers["accept-encoding"] == "identity"
        assert "Content-Encoding" in response.json()["detail"]
    assert fired.take() == []


async def test_a_content_coding_in_any_of_several_lines_counts(client: AsyncClient, ada: Person) -> None:
    headers = [
        ("authorization", f"Bearer {ada.tokens['access_token']}"),
        ("content-encoding", "identity"),
        ("content-encoding", "gzip"),
    ]

    assert_problem(await client.post("/posts", json={"text": "hello"}, headers=headers), 415)


@pytest.mark.parametrize("coding", ["identity", "Identity", "", "identity, identity"])
async def test_a_body_that_says_it_has_no_content_coding_is_taken(ada: Person, coding: str) -> None:
    response = await ada.request("POST", "/posts", json={"text": "hello"}, headers={"content-encoding": coding})

    assert response.status_code == 201


async def test_another_media_type_is_refused_without_word_of_codings(ada: Person) -> None:
    response = await ada.request("POST", "/posts", content=b"a", headers={"content-type": "text/plain"})

    assert_problem(response, 415)
    assert "accept-encoding" not in response.headers


@pytest.mark.parametrize("size", [10, 100_000])
async def test_a_byte_order_mark_is_ignored(ada: Person, size: int) -> None:
    text = "\ufeff" + "x" * size
    body = json.dumps({"text": text}).encode("utf-8-sig")

    assert (await ada.request("POST", "/posts", content=body, headers=JSON)).status_code == 201
    # The one within the text is the user's.
    assert await ada.texts() == [text]


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbf",
        b"\xef\xbb\xbf\xef\xbb\xbf" + b'{"text": "a"}',
        b'{"text": "a"}\xef\xbb\xbf',
        '{"text": "a"}'.encode("utf-16"),
        '{"text": "a"}'.encode("utf-16-le"),
        '{"text": "a"}'.encode("utf-16-be"),
        '{"text": "a"}'.encode("utf-32"),
    ],
    ids=["a mark alone", "two marks", "a mark at the end", "UTF-16", "UTF-16 LE", "UTF-16 BE", "UTF-32"],
)
async def test_other_marks_and_encodings_are_refused(ada: Person, fired: Fired, body: bytes) -> None:
    assert_problem(await ada.request("POST", "/posts", content=body, headers=JSON), 400)
    assert fired.take() == []


@pytest.mark.parametrize("size", [10, 100_000])
async def test_of_members_with_one_name_the_last_counts(ada: Person, size: int) -> None:
    last = "x" * size
    body = b'{"text": "first", "text": 5, "te\\u0078t": "%s"}' % last.encode()

    assert (await ada.request("POST", "/posts", content=body, headers=JSON)).status_code == 201
    assert await ada.texts() == [last]


async def test_of_two_passwords_the_last_counts(client: AsyncClient, ada: Person) -> None:
    async def log_in(*passwords: str) -> int:
        members = ", ".join(f'"password": "{password}"' for password in passwords)
        body = f'{{"email": "{ada.email}", {members}}}'.encode()
        return (await client.post("/auth/login", content=body, headers=JSON)).status_code

    assert await log_in("incorrect horse", PASSWORD) == 200
    assert await log_in(PASSWORD, "incorrect horse") == 401


class Upload:
    """A body that arrives as the test says, sent to the application in this event loop."""

    def __init__(self, app: Litestar, path: str, *, token: str | None = None, client: str = "192.0.2.1") -> None:
        self._messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._taken = asyncio.Event()
        self.answer: list[dict[str, Any]] = []
        headers = [(b"host", b"postline"), (b"content-type", b"application/json")]
        if token is not None:
            headers.append((b"authorization", f"Bearer {token}".encode()))
        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": headers,
            "client": (client, 1),
            "server": ("postline", 80),
        }
        send: Callable[[Any], Awaitable[None]] = self._send
        self.task = asyncio.create_task(app(scope, self._receive, send))  # type: ignore[arg-type]

    async def _receive(self) -> Any:
        self._taken.set()
        return await self._messages.get()

    async def _send(self, message: dict[str, Any]) -> None:
        self.answer.append(message)

    async def arrive(self, part: bytes, *, more_body: bool = True) -> None:
        """Let the part arrive, and wait until the application asks for more, or has answered."""
        await self._put({"type": "http.request", "body": part, "more_body": more_body})

    async def leave(self) -> None:
        """Let the client leave, and wait until the application has noticed."""
        await self._put({"type": "http.disconnect"})
        await self.task

    async def _put(self, message: dict[str, Any]) -> None:
        async with asyncio.timeout(10):
            await self._taken.wait()
            self._taken.clear()
            self._messages.put_nowait(message)
            taken = asyncio.create_task(self._taken.wait())
            await asyncio.wait({taken, self.task}, return_when=asyncio.FIRST_COMPLETED)
            taken.cancel()

    @property
    def status(self) -> int | None:
        return self.answer[0]["status"] if self.answer else None

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.answer[0]["headers"])


class TestBodiesThatAreNotFinished:
    """They hold a share of the memory for bodies, and give it back however they end."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"bodies_max_bytes": 8 * MEBIBYTE})

    @pytest.fixture
    def app(self, settings: Settings) -> Litestar:
        return create_app(settings)

    @pytest.fixture
    def bodies(self, app: Litestar, client: AsyncClient) -> Share:  # noqa: ARG002 - the application must run
        share: Share = app.state.service.bodies
        return share

    async def test_a_user_holds_at_most_a_quarter_and_others_are_served(
        self, app: Litestar, bodies: Share, ada: Person, bob: Person
    ) -> None:
        uploads = [Upload(app, "/posts", token=ada.tokens["access_token"]) for _ in range(4)]
        for upload in uploads:
            await upload.arrive(b'{"text":"' + b"x" * 600_000)

        refused = uploads[3]
        assert [upload.status for upload in uploads] == [None, None, None, 429]
        assert refused.headers[b"retry-after"] == b"1"
        assert refused.headers[b"connection"] == b"close"
        # Another one's largest post, and what needs no body, are served meanwhile.
        await bob.add("y" * (MEBIBYTE - 20))
        assert (await ada.get("/posts")).status_code == 200

        for upload in uploads:
            await upload.leave()
        assert bodies.used == 0
        await ada.add("z" * (MEBIBYTE - 20))
        assert (bodies.used, bodies.refused) == (0, 1)

    async def test_before_log_in_a_client_address_has_a_share(self, app: Litestar, bodies: Share) -> None:
        with bodies.hold("192.0.2.1", bodies.per_key - 100):
            of_that_address, of_another = (
                Upload(app, "/auth/login", client=host) for host in ("192.0.2.1", "198.51.100.1")
            )
            for upload in (of_that_address, of_another):
                await upload.arrive(b'{"email": "ada@example.com", ')

            assert of_that_address.status is None
            await of_that_address.arrive(b" " * 100)
            assert of_that_address.status == 429
            await of_another.arrive(b'"password": "incorrect horse"}', more_body=False)
            assert of_another.status == 401
            await of_that_address.leave()
        assert bodies.used == 0

    async def test_all_together_hold_at_most_the_total(self, app: Litestar, bodies: Share, ada: Person) -> None:
        with bodies.hold("a"), bodies.hold("b", bodies.per_key - 1):
            stack = [bodies.hold(key, bodies.per_key) for key in ("c", "d", "e")]
            with stack[0], stack[1], stack[2]:
                upload = Upload(app, "/posts", token=ada.tokens["access_token"])
                await upload.arrive(b'{"text":')
                assert upload.status == 503
                assert upload.headers[b"retry-after"] == b"1"
                await upload.leave()
        assert bodies.used == 0

    async def test_one_sent_byte_by_byte_counts_for_what_it_takes(
        self, app: Litestar, bodies: Share, ada: Person
    ) -> None:
        upload = Upload(app, "/posts", token=ada.tokens["access_token"])
        for _ in range(100):
            await upload.arrive(b"x")
        assert bodies.used >= 100 * 50
        await upload.leave()
        assert bodies.used == 0

    async def test_it_is_given_back_when_the_request_is_cancelled_or_refused(
        self, app: Litestar, bodies: Share, ada: Person
    ) -> None:
        token = ada.tokens["access_token"]
        cancelled, too_large, invalid = (Upload(app, "/posts", token=token) for _ in range(3))
        await cancelled.arrive(b'{"text":"')
        cancelled.task.cancel()
        await asyncio.wait({cancelled.task})
        await too_large.arrive(b"x" * (MEBIBYTE + 1))
        await invalid.arrive(b"x", more_body=False)

        assert cancelled.task.cancelled()
        assert (too_large.status, invalid.status) == (413, 400)
        await asyncio.gather(too_large.task, invalid.task)
        assert bodies.used == 0
