"""Tokens are remembered while they are good, and no more of them than there is room for."""

from datetime import UTC, datetime, timedelta

from litestar.security.jwt import Token

from app.auth.verified_tokens import VerifiedTokens

NOON = datetime(2126, 1, 1, 12, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


def token(minutes: int) -> Token:
    return Token(sub="ada", exp=NOON + timedelta(minutes=minutes))


def test_a_token_is_known_once_it_was_added() -> None:
    tokens, ada = VerifiedTokens[Token](clock=Clock()), token(15)

    assert tokens.get("a.b.c") is None
    tokens.add("a.b.c", ada)

    assert tokens.get("a.b.c") is ada
    assert tokens.get("a.b.d") is None


def test_a_token_is_forgotten_when_it_expires() -> None:
    clock = Clock()
    tokens = VerifiedTokens[Token](clock=clock)
    tokens.add("a.b.c", token(15))

    clock.now += timedelta(minutes=15) - timedelta(microseconds=1)
    assert tokens.get("a.b.c") is not None
    clock.now += timedelta(microseconds=1)

    assert tokens.get("a.b.c") is None


def test_the_least_recently_used_makes_room() -> None:
    tokens = VerifiedTokens[Token](2, clock=Clock())
    tokens.add("first", token(15))
    tokens.add("second", token(15))
    tokens.get("first")
    tokens.add("third", token(15))

    assert tokens.get("second") is None
    assert tokens.get("first") is not None
    assert tokens.get("third") is not None
