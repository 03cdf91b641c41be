"""Personal tokens: their form, and what is looked up for one."""

import re
from uuid import UUID

import pytest
from typing_extensions import override
from uuid_utils.compat import uuid7

from app.auth.personal_tokens import PersonalTokens, has_checksum, hash_of, issue
from app.ports.queries import Grant
from app.ports.security import Principal
from app.ports.timelines import Timelines
from models import PersonalTokenCreated

GRANT = Grant(uuid7(), uuid7(), frozenset({"posts:read"}))


class Known(Timelines):
    """The versions of those sessions that are alive."""

    def __init__(self) -> None:
        self.versions = {(GRANT.user_id, GRANT.token_id): 7}

    @override
    async def version(self, user_id: UUID, session_id: UUID) -> int | None:
        return self.versions.get((user_id, session_id))


class World:
    """One stored token, and what was asked of the store."""

    def __init__(self, max_tokens: int = 10) -> None:
        self.token = issue()
        self.asked: list[bytes] = []
        self.used: list[UUID] = []
        self.timelines = Known()
        self.tokens = PersonalTokens(self._find, self.timelines, self.used.append, max_tokens=max_tokens)

    async def _find(self, token_hash: bytes) -> Grant | None:
        self.asked.append(token_hash)
        return GRANT if token_hash == hash_of(self.token) else None


def test_a_token_has_a_prefix_and_a_checksum_by_which_scanners_know_it() -> None:
    token = issue()

    assert re.fullmatch(r"postline_pat_[0-9A-Za-z]{43}[0-9A-Za-z]{6}", token)
    assert has_checksum(token)


def test_no_two_tokens_are_the_same() -> None:
    assert len({issue() for _ in range(1000)}) == 1000


def test_the_documented_example_is_a_token() -> None:
    assert has_checksum(PersonalTokenCreated.example["token"])


def test_every_single_wrong_character_is_noticed() -> None:
    token = issue()

    for position, character in enumerate(token):
        assert not has_checksum(token[:position] + ("a" if character != "a" else "b") + token[position + 1 :])


@pytest.mark.parametrize("text", ["", "postline_pat_", "x" * 62, "é" * 62, "\U0001f600" * 62])
def test_other_text_is_no_token(text: str) -> None:
    assert not has_checksum(text)


async def test_a_token_is_read_once_and_its_life_looked_up_each_time() -> None:
    world = World()

    for version in (7, 8):
        world.timelines.versions = {(GRANT.user_id, GRANT.token_id): version}
        found = await world.tokens.verify(world.token)
        assert found == (Principal(GRANT.user_id, GRANT.token_id, version), GRANT.scopes)

    assert world.asked == [hash_of(world.token)]
    assert world.used == [GRANT.token_id] * 2


async def test_a_token_that_was_revoked_is_refused_though_it_is_remembered() -> None:
    world = World()
    await world.tokens.verify(world.token)
    world.used.clear()

    world.timelines.versions.clear()

    assert await world.tokens.verify(world.token) is None
    assert world.used == []


async def test_a_forged_token_is_looked_for_and_one_with_a_typing_error_is_not() -> None:
    world = World()
    forged = issue()

    assert await world.tokens.verify(forged) is None
    assert await world.tokens.verify(world.token[:-1] + "!") is None

    assert world.asked == [hash_of(forged)]


async def test_no_more_tokens_are_remembered_than_there_is_room_for() -> None:
    world = World(max_tokens=1)
    other = issue()
    found = {world.token: GRANT, other: Grant(GRANT.user_id, GRANT.token_id, frozenset())}
    asked: list[bytes] = []

    async def find(token_hash: bytes) -> Grant | None:
        asked.append(token_hash)
        return {hash_of(token): grant for token, grant in found.items()}[token_hash]

    tokens = PersonalTokens(find, world.timelines, world.used.append, max_tokens=1)
    for token in (world.token, other, other, world.token):
        assert await tokens.verify(token)

    assert asked == [hash_of(world.token), hash_of(other), hash_of(world.token)]
