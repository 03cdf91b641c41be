"""Refresh tokens on their own, without a database."""

from datetime import timedelta

import pytest
from uuid_utils.compat import uuid7

from app.errors import Unauthenticated
from app.refresh_tokens import RefreshClaim, RefreshTokens

TOKENS = RefreshTokens("secret", timedelta(days=30))


def test_a_token_names_its_session_and_generation() -> None:
    session_id = uuid7()

    assert TOKENS.parse(TOKENS.draw(session_id, 3)) == RefreshClaim(session_id, 3)


def test_a_session_begins_with_its_first_token_and_keeps_only_its_hash() -> None:
    session, token = TOKENS.open_session(uuid7(), "curl/8" * 100)

    assert TOKENS.draw(session.id, 1) == token
    assert session.refresh_token_hash == TOKENS.hash(token)
    assert token not in repr(session)
    assert len(session.user_agent) == 255
    assert session.expires_at - session.created_at == timedelta(days=30)


def test_a_token_drawn_with_another_secret_or_tampered_with_is_not_genuine() -> None:
    session_id = uuid7()
    token = TOKENS.draw(session_id, 1)

    assert TOKENS.is_genuine(token)
    assert not RefreshTokens("other", timedelta(days=1)).is_genuine(token)
    assert not TOKENS.is_genuine(token.replace(".1.", ".2."))
    assert not TOKENS.is_genuine(token.replace(session_id.hex, uuid7().hex))


@pytest.mark.parametrize("token", ["", "a", "a.b.c", "..", f"{'0' * 32}.x.y", f"{'0' * 32}.{'9' * 5000}.y", "é.1.ü"])
def test_what_is_no_token_is_unauthenticated(token: str) -> None:
    with pytest.raises(Unauthenticated):
        TOKENS.parse(token)
