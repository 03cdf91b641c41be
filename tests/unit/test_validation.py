"""What the bodies accept."""

import pytest
from pydantic import ValidationError

from models import LogIn, PostCreate, PostUpdate, SignUp
from tests.factories import TEXTS


@pytest.mark.parametrize("text", [*TEXTS, "x", "x" * 1_048_000])
@pytest.mark.parametrize("body", [PostCreate, PostUpdate])
def test_any_unicode_text_is_a_post(body: type[PostCreate | PostUpdate], text: str) -> None:
    assert body.model_validate({"text": text}).text == text


@pytest.mark.parametrize("text", ["", "\x00", "a\x00b", "\ud800", "a\udfff", 5, None, ["a"], b"bytes\xff"])
def test_no_text_nul_and_lone_surrogates_are_refused(text: object) -> None:
    with pytest.raises(ValidationError):
        PostCreate.model_validate({"text": text})


def test_a_body_can_not_set_what_is_not_its_to_set() -> None:
    with pytest.raises(ValidationError, match="user_id"):
        PostCreate.model_validate({"text": "a", "user_id": "01a20544-8f6d-7250-9b81-05646f62c3bb"})


@pytest.mark.parametrize(
    ("email", "kept"),
    [("Ada@Example.com", "ada@example.com"), ("ÄNNE@münchen.example.org", "änne@münchen.example.org")],
)
def test_addresses_are_kept_in_lower_case(email: str, kept: str) -> None:
    assert SignUp(email=email, password="correct horse battery").email == kept
    assert LogIn(email=email, password="p").email == kept


@pytest.mark.parametrize(
    "email",
    [
        "",
        "ada",
        "ada@",
        "@example.com",
        "a b@example.com",
        "Ada <ada@example.com>",
        "<ada@example.com>",
        f"{'a' * 250}@example.com",
        None,
        5,
    ],
)
def test_what_is_no_address_is_refused(email: object) -> None:
    for form in (SignUp, LogIn):
        with pytest.raises(ValidationError):
            form.model_validate({"email": email, "password": "correct horse battery"})


def test_a_new_address_is_one_that_mail_can_reach() -> None:
    with pytest.raises(ValidationError):
        SignUp(email="ada@localhost", password="correct horse battery")


@pytest.mark.parametrize("password", ["x7.k2-qv", "🔑" * 128, "äöü ßéè 漢字", "x" * 7 + "Q"])
def test_a_password_of_8_to_128_characters_is_taken_whatever_it_is_made_of(password: str) -> None:
    assert SignUp(email="ada@example.com", password=password).password == password


@pytest.mark.parametrize(
    "password", ["x7.k2-q", "k" * 129, "password1", "PASSWORD1", "\uff50\uff41ssword1", "12345678", "with\x00nul!"]
)
def test_short_long_and_common_passwords_are_refused(password: str) -> None:
    with pytest.raises(ValidationError):
        SignUp(email="ada@example.com", password=password)
