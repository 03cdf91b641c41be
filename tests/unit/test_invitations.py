"""Invitations: whom they admit, and what is kept of their codes."""

from datetime import timedelta

import pytest

from models import Invitation, InvitationState
from models.columns import now
from models.invitation import hash_code

DAY = timedelta(days=1)


def test_a_code_can_be_typed_and_only_its_hash_is_kept() -> None:
    invitation, code = Invitation.issue(None, DAY)

    assert len(code) == 32
    assert set(code) <= set("abcdefghijklmnopqrstuvwxyz234567")
    assert code not in repr(invitation.model_dump())
    assert invitation.code_hash == hash_code(code) == hash_code(f" {code.upper()}\n")


def test_no_two_codes_are_the_same() -> None:
    assert len({Invitation.issue(None, DAY)[1] for _ in range(100)}) == 100


def test_it_admits_anybody_until_it_expires() -> None:
    invitation, _ = Invitation.issue(None, DAY)

    assert invitation.admits("ada@example.com", now())
    assert invitation.state(invitation.expires_at) is InvitationState.EXPIRED
    assert not invitation.admits("ada@example.com", invitation.expires_at)


@pytest.mark.parametrize(
    ("email", "is_admitted"),
    [("strasse@example.com", True), ("straße@example.com", True), ("bob@example.com", False)],
)
def test_one_for_an_address_admits_that_address_in_any_case(email: str, *, is_admitted: bool) -> None:
    invitation, _ = Invitation.issue("straße@example.com", DAY)

    assert invitation.admits(email, now()) is is_admitted


@pytest.mark.parametrize(
    ("field", "state"), [("used_at", InvitationState.USED), ("revoked_at", InvitationState.REVOKED)]
)
def test_one_that_was_used_or_revoked_admits_nobody(field: str, state: InvitationState) -> None:
    invitation, _ = Invitation.issue(None, DAY)
    setattr(invitation, field, now())

    assert invitation.state(now()) is state
    assert not invitation.admits("ada@example.com", now())
