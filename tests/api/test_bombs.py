"""No request holds the event loop for long, however large it is and whatever it is made of."""

from collections.abc import Iterable
from typing import NamedTuple

import pytest
from litestar import Litestar

from app.http.request_body import MAX_FORM_BYTES, MAX_TEXT_BYTES, MAX_URL_BYTES
from tests import bombs
from tests.api.people import Person
from tests.bombs import Bomb

# 50 ms are meant. A processor whose cores are shared with others may be half as fast.
LONGEST_STALL_SECONDS = 0.1
TRIES = 3

# What is refused does not reach the database.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

MISSING_POST = "/posts/01a20544-8f6d-7250-9b81-05646f62c3bb"


class Effect(NamedTuple):
    """What requests did: how long one held the loop, at the best of a few tries, and how they were answered."""

    stall: float
    statuses: set[int]
    largest_error: int


async def send_all(app: Litestar, person: Person, requests: Iterable[Bomb]) -> Effect:
    longest, statuses, largest_error = 0.0, set[int](), 0
    for request in requests:
        tries = []
        for number in range(TRIES):
            # No two are alike, so that no cache of parsed ones helps.
            target = f"{request.target}{'&' if '?' in request.target else '?'}try={number}"
            with bombs.watched_loop() as stalls:
                status, answer = await bombs.send(
                    app, request._replace(target=target), token=person.tokens["access_token"]
                )
            tries.append(stalls.longest)
            statuses.add(status)
            if status >= 400:
                largest_error = max(largest_error, len(answer))
        longest = max(longest, min(tries))
    return Effect(longest, statuses, largest_error)


@pytest.mark.parametrize(
    ("method", "path", "limit"),
    [
        ("POST", "/posts", MAX_TEXT_BYTES),
        ("PATCH", MISSING_POST, MAX_TEXT_BYTES),
        ("POST", "/posts/batch", MAX_TEXT_BYTES),
        ("POST", "/webhooks", MAX_URL_BYTES),
        ("POST", "/auth/signup", MAX_FORM_BYTES),
        ("POST", "/auth/login", MAX_FORM_BYTES),
        ("POST", "/auth/refresh", MAX_FORM_BYTES),
        ("PUT", "/me/password", MAX_FORM_BYTES),
        ("DELETE", "/me", MAX_FORM_BYTES),
    ],
)
async def test_a_body_does_not_hold_the_loop_whatever_it_is_made_of(
    app: Litestar, ada: Person, method: str, path: str, limit: int
) -> None:
    # Beyond its limit a route reads nothing, and must not take long to say so.
    bodies = [*bombs.bodies(limit).values(), *bombs.bodies(bombs.MEBIBYTE).values()]

    effect = await send_all(app, ada, [Bomb(method, path, (), body) for body in bodies])

    assert effect.stall < LONGEST_STALL_SECONDS
    assert effect.statuses <= {400, 401, 403, 404, 413}
    assert effect.largest_error < 4096


async def test_valid_texts_of_the_full_size_do_not_hold_the_loop(app: Litestar, ada: Person) -> None:
    post_id = await ada.add("hello")
    requests = [
        Bomb(method, path, (), body)
        for method, path in (("POST", "/posts"), ("PATCH", f"/posts/{post_id}"))
        for body in bombs.valid_texts().values()
    ]

    effect = await send_all(app, ada, requests)

    assert effect.stall < LONGEST_STALL_SECONDS
    assert effect.statuses == {200, 201}


async def test_a_path_or_query_does_not_hold_the_loop_whatever_it_is_made_of(app: Litestar, ada: Person) -> None:
    effect = await send_all(app, ada, [Bomb("GET", target) for target in bombs.targets().values()])

    assert effect.stall < LONGEST_STALL_SECONDS
    assert effect.statuses == {414}


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/posts"), ("GET", MISSING_POST), ("PATCH", MISSING_POST), ("POST", "/posts"), ("GET", "/")],
)
async def test_headers_do_not_hold_the_loop_whatever_they_are_made_of(
    app: Litestar, ada: Person, method: str, path: str
) -> None:
    body = b"" if method == "GET" else b'{"text":"hello"}'
    requests = [Bomb(method, path, headers, body) for headers in bombs.heads().values()]

    effect = await send_all(app, ada, requests)

    assert effect.stall < LONGEST_STALL_SECONDS
    assert max(effect.statuses) < 500
    assert effect.largest_error < 4096
