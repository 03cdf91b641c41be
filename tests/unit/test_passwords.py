"""Password hashing within bounds."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from app.auth.passwords import Argon2Passwords
from app.errors import Overloaded, TooManyRequests

CHEAP: dict[str, Any] = {"memory_kib": 8, "iterations": 1, "parallelism": 1}


@pytest.fixture
def passwords() -> Iterator[Argon2Passwords]:
    made = Argon2Passwords(**CHEAP, threads=2, queue_limit=8)
    yield made
    made.close()


async def test_a_password_is_verified_against_its_hash(passwords: Argon2Passwords) -> None:
    password_hash = await passwords.hash("correct horse battery", "a client")

    assert password_hash.startswith("$argon2id$")
    assert await passwords.verify("correct horse battery", password_hash, "a client")
    assert not await passwords.verify("incorrect horse battery", password_hash, "a client")


async def test_no_password_matches_a_user_who_does_not_exist(passwords: Argon2Passwords) -> None:
    assert not await passwords.verify("a password that nobody has", None, "a client")


async def test_two_ways_to_type_one_character_are_one_password(passwords: Argon2Passwords) -> None:
    password_hash = await passwords.hash("caf\u00e9 noir", "a client")

    assert await passwords.verify("cafe\u0301 noir", password_hash, "a client")


async def test_a_hash_made_with_other_parameters_is_outdated(passwords: Argon2Passwords) -> None:
    stronger = Argon2Passwords(memory_kib=16, iterations=2, parallelism=1, threads=1, queue_limit=1)
    password_hash = await passwords.hash("correct horse battery", "a client")

    assert not passwords.is_outdated(password_hash)
    assert stronger.is_outdated(password_hash)
    stronger.close()


class Gate:
    """Holds every hash back until it is opened."""

    def __init__(self, passwords: Argon2Passwords, monkeypatch: pytest.MonkeyPatch) -> None:
        self._opened = threading.Event()
        monkeypatch.setattr(passwords._context, "hash", lambda password: self._opened.wait(5) and password)

    def open(self) -> None:
        self._opened.set()


async def test_beyond_the_queue_the_answer_is_to_come_back_later(monkeypatch: pytest.MonkeyPatch) -> None:
    passwords = Argon2Passwords(**CHEAP, threads=1, queue_limit=1)
    gate = Gate(passwords, monkeypatch)
    admitted = [asyncio.ensure_future(passwords.hash(text, text)) for text in ("running", "waiting")]
    await asyncio.sleep(0)

    with pytest.raises(Overloaded) as caught:
        await passwords.hash("one too many", "a client")
    assert int(caught.value.headers["Retry-After"]) > 0
    gate.open()
    assert await asyncio.gather(*admitted) == ["running", "waiting"]
    assert await passwords.hash("room again", "a client") == "room again"
    passwords.close()


@pytest.mark.parametrize(("queue_share", "expected"), [(None, 4), (1, 1), (99, 8)])
async def test_one_client_has_at_most_its_share_of_the_queue(
    monkeypatch: pytest.MonkeyPatch, queue_share: int | None, expected: int
) -> None:
    passwords = Argon2Passwords(**CHEAP, threads=2, queue_limit=6, queue_share=queue_share)
    gate = Gate(passwords, monkeypatch)
    admitted = [asyncio.ensure_future(passwords.hash("x", "greedy")) for _ in range(expected)]
    await asyncio.sleep(0)

    with pytest.raises(TooManyRequests) as caught:
        await passwords.hash("x", "greedy")

    assert int(caught.value.headers["Retry-After"]) > 0
    others = [asyncio.ensure_future(passwords.hash("x", number)) for number in range(8 - expected)]
    gate.open()
    assert await asyncio.gather(*admitted, *others) == ["x"] * 8
    assert passwords.share.used == 0
    passwords.close()


class TestWithHashesOfTwoAges:
    """After `ARGON2_ITERATIONS` was raised, some hashes are still of the old parameters."""

    @pytest.fixture
    def lookups(self) -> list[str]:
        return []

    @pytest.fixture
    async def old_hash(self, passwords: Argon2Passwords) -> str:
        return await passwords.hash("correct horse battery", "a client")

    @pytest.fixture
    def stronger(self, old_hash: str, lookups: list[str]) -> Iterator[Argon2Passwords]:
        async def look_up() -> list[str]:
            lookups.append("")
            return [old_hash[: old_hash.rindex("p=1$") + 4], "not Argon2"]

        made = Argon2Passwords(
            memory_kib=16, iterations=2, parallelism=1, threads=2, queue_limit=8, stored_parameters=look_up
        )
        yield made
        made.close()

    async def work(
        self, passwords: Argon2Passwords, monkeypatch: pytest.MonkeyPatch, password_hash: str | None
    ) -> list[str]:
        """Return the parameters of each hash that a verification makes."""
        made: list[str] = []
        verify = passwords._context.verify

        def noting(password: str, each: str) -> bool:
            made.append(each.split("$")[3])
            return verify(password, each)

        with monkeypatch.context() as patch:
            patch.setattr(passwords._context, "verify", noting)
            assert await passwords.verify("correct horse battery", password_hash, "x") == (password_hash is not None)
        return sorted(made)

    async def test_an_unknown_address_takes_the_work_of_a_known_one_of_either_age(
        self, stronger: Argon2Passwords, old_hash: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        new_hash = await stronger.hash("correct horse battery", "a client")

        for password_hash in (None, old_hash, new_hash):
            assert await self.work(stronger, monkeypatch, password_hash) == ["m=16,t=2,p=1", "m=8,t=1,p=1"]

    async def test_parameters_are_looked_up_once_for_many_log_ins(
        self, stronger: Argon2Passwords, lookups: list[str], old_hash: str
    ) -> None:
        await asyncio.gather(*(stronger.verify("x", each, "x") for each in (None, old_hash, None)))

        assert len(lookups) == 1

    async def test_parameters_that_no_look_up_knew_are_taken_from_then_on(
        self, old_hash: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def fail() -> list[str]:
            raise OSError

        stronger = Argon2Passwords(
            memory_kib=16, iterations=2, parallelism=1, threads=2, queue_limit=8, stored_parameters=fail
        )

        assert await self.work(stronger, monkeypatch, old_hash) == await self.work(stronger, monkeypatch, None)
        stronger.close()

    async def test_neither_age_takes_a_wrong_password(self, stronger: Argon2Passwords, old_hash: str) -> None:
        assert not await stronger.verify("incorrect horse battery", old_hash, "a client")
