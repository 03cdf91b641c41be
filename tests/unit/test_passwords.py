"""Password hashing within bounds."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from app.auth.passwords import Argon2Passwords
from app.errors import Overloaded

CHEAP: dict[str, Any] = {"memory_kib": 8, "iterations": 1, "parallelism": 1}


@pytest.fixture
def passwords() -> Iterator[Argon2Passwords]:
    made = Argon2Passwords(**CHEAP, threads=2, queue_limit=8)
    yield made
    made.close()


async def test_a_password_is_verified_against_its_hash(passwords: Argon2Passwords) -> None:
    password_hash = await passwords.hash("correct horse battery")

    assert password_hash.startswith("$argon2id$")
    assert await passwords.verify("correct horse battery", password_hash)
    assert not await passwords.verify("incorrect horse battery", password_hash)


async def test_no_password_matches_a_user_who_does_not_exist(passwords: Argon2Passwords) -> None:
    assert not await passwords.verify("a password that nobody has", None)


async def test_two_ways_to_type_one_character_are_one_password(passwords: Argon2Passwords) -> None:
    password_hash = await passwords.hash("caf\u00e9 noir")

    assert await passwords.verify("cafe\u0301 noir", password_hash)


async def test_a_hash_made_with_other_parameters_is_outdated(passwords: Argon2Passwords) -> None:
    stronger = Argon2Passwords(memory_kib=16, iterations=2, parallelism=1, threads=1, queue_limit=1)
    password_hash = await passwords.hash("correct horse battery")

    assert not passwords.is_outdated(password_hash)
    assert stronger.is_outdated(password_hash)
    stronger.close()


async def test_beyond_the_queue_the_answer_is_to_come_back_later(monkeypatch: pytest.MonkeyPatch) -> None:
    passwords = Argon2Passwords(**CHEAP, threads=1, queue_limit=1)
    gate = threading.Event()
    monkeypatch.setattr(passwords._context, "hash", lambda password: gate.wait(5) and password)
    admitted = [asyncio.ensure_future(passwords.hash(text)) for text in ("running", "waiting")]
    await asyncio.sleep(0)

    with pytest.raises(Overloaded) as caught:
        await passwords.hash("one too many")
    assert int(caught.value.headers["Retry-After"]) > 0
    gate.set()
    assert await asyncio.gather(*admitted) == ["running", "waiting"]
    assert await passwords.hash("room again") == "room again"
    passwords.close()
