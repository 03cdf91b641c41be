"""A session's tokens on their own, without a database."""

from datetime import timedelta
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from app.auth.keys import Keyring
from app.auth.session_tokens import RefreshClaim, SessionTokens
from app.errors import Unauthenticated
from models.columns import now


class Access:
    """Issues access tokens that are no more than a name."""

    lifetime = 900

    def issue(self, user_id: UUID, session_id: UUID) -> str:
        return f"access of {user_id} in {session_id}"


def tokens_of(*secrets: str) -> SessionTokens:
    return SessionTokens(Keyring(secrets[0], secrets[1:]), Access(), timedelta(days=30))


TOKENS = tokens_of("secret")


def test_a_session_begins_with_its_first_tokens_and_keeps_only_a_hash() -> None:
    session, pair = TOKENS.open(uuid7(), "curl/8" * 100)

    assert TOKENS.claim(pair.refresh_token) == RefreshClaim(session.id, 1)
    assert TOKENS.is_newest(session, pair.refresh_token)
    assert pair.refresh_token not in repr(session)
    assert len(session.user_agent) == 255
    assert session.expires_at - session.created_at == timedelta(days=30)
    assert pair.access_token == f"access of {session.user_id} in {session.id}"


def test_renewing_makes_the_old_refresh_token_dead_but_leaves_it_genuine() -> None:
    session, first = TOKENS.open(uuid7(), "")

    second = TOKENS.renew(session, now())

    assert TOKENS.is_newest(session, second.refresh_token)
    assert not TOKENS.is_newest(session, first.refresh_token)
    assert TOKENS.claim(first.refresh_token) == RefreshClaim(session.id, 1)


def test_the_refresh_token_of_a_generation_is_the_same_each_time() -> None:
    session, first = TOKENS.open(uuid7(), "")

    assert TOKENS.repeat(session).refresh_token == first.refresh_token


def test_a_token_drawn_with_another_secret_or_tampered_with_is_refused() -> None:
    session, pair = TOKENS.open(uuid7(), "")

    for tokens, token in (
        (tokens_of("other"), pair.refresh_token),
        (TOKENS, pair.refresh_token.replace(".1.", ".2.")),
        (TOKENS, pair.refresh_token.replace(session.id.hex, uuid7().hex)),
    ):
        with pytest.raises(Unauthenticated):
            tokens.claim(token)


def test_a_token_of_a_previous_secret_is_still_taken() -> None:
    session, pair = TOKENS.open(uuid7(), "")
    rotated = tokens_of("new secret", "secret")

    assert rotated.claim(pair.refresh_token) == RefreshClaim(session.id, 1)
    assert rotated.is_newest(session, pair.refresh_token)
    assert rotated.repeat(session).refresh_token != pair.refresh_token


@pytest.mark.parametrize("token", ["", "a", "a.b.c", "..", f"{'0' * 32}.x.y", f"{'0' * 32}.{'9' * 5000}.y", "é.1.ü"])
def test_what_is_no_token_is_unauthenticated(token: str) -> None:
    with pytest.raises(Unauthenticated):
        TOKENS.claim(token)
