"""Addresses that differ in nothing but case are one."""

# Letters that look like others are what this is about.
# ruff: noqa: RUF001

import sys
from unicodedata import normalize

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from models import LogIn, SignUp
from models.user import address_key, earlier_form, stored_form

PASSWORD = "correct horse battery"

local_parts = st.text(
    st.one_of(
        st.sampled_from("aZ9.ßẞſıİiIςσΣẗẖǰŉΐﬁﬃµÅKΩᾳᾼჀⴠÿŸ\u0308\u030c\u0307\u0345\u0301\u0323"),
        st.characters(categories=("L", "M", "N")),
    ),
    min_size=1,
    max_size=20,
)
domains = st.sampled_from(
    ["example.com", "Example.COM", "münchen.example.org", "MÜNCHEN.example.org", "xn--mnchen-3ya.de"]
)


def accepted(address: str) -> str | None:
    """Return the stored form of a new address, or `None` if it can't sign up."""
    try:
        return SignUp(email=address, password=PASSWORD).email
    except ValidationError:
        return None


@settings(max_examples=200)
@given(local_parts, domains)
@example("T\u0308om", "example.com")
@example("ΝΙΚΟΣ7", "example.com")
@example("straße", "example.com")
@example("ıi", "example.com")
@example("ǅ", "example.com")
def test_every_way_to_write_an_accepted_address_is_one_account(local: str, domain: str) -> None:
    stored = accepted(f"{local}@{domain}")
    assume(stored is not None)
    assert stored is not None

    assert stored_form(stored) == stored == normalize("NFC", stored)
    assert accepted(stored) == stored
    assert LogIn(email=stored, password=PASSWORD).email == stored
    assert address_key(address_key(stored)) == address_key(stored)
    for form in (str, str.upper, str.lower, str.swapcase, str.title, str.casefold):
        for normal_form in ("NFC", "NFD"):
            way = f"{normalize(normal_form, form(normalize(normal_form, local)))}@{domain.upper()}"
            assert address_key(way) == address_key(stored)
            if (again := accepted(way)) is not None:
                assert address_key(again) == address_key(stored)


def test_every_letter_is_one_in_all_its_cases() -> None:
    for letter in filter(str.isalpha, map(chr, range(sys.maxunicode + 1))):
        cases = {letter, letter.upper(), letter.lower(), letter.title(), letter.casefold(), normalize("NFD", letter)}
        if len(cases) > 1:
            assert len({address_key(f"{each}@localhost") for each in cases}) == 1, f"U+{ord(letter):04X}"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a@example.com", "b@example.com"),
        ("é@example.com", "e@example.com"),
        ("a.b@example.com", "ab@example.com"),
        ("ada@example.com", "ada@example.org"),
        # Two domains, which may be two people's (IDNA 2008).
        ("ada@straße.example.com", "ada@strasse.example.com"),
    ],
)
def test_other_addresses_are_others(one: str, other: str) -> None:
    assert address_key(one) != address_key(other)


@pytest.mark.parametrize(
    "address",
    [f"{'İ' * 100}@example.com", f"{'ŉ' * 90}@example.com", f"{'a' * 250}@example.com", f"{'ΐ' * 130}@example.com"],
)
def test_an_address_that_is_too_long_in_its_stored_form_is_refused(address: str) -> None:
    assert accepted(address) is None


@pytest.mark.parametrize(
    ("address", "looked_up"),
    [
        ("Admin@NAS.local", "admin@nas.local"),
        ("root@localhost", "root@localhost"),
        ("ada@corp.internal", "ada@corp.internal"),
        (" ada@example.com ", "ada@example.com"),
        ("a..b@example.com", "a..b@example.com"),
        ("a@-x-.example", "a@-x-.example"),
    ],
)
def test_any_address_can_be_looked_up(address: str, looked_up: str) -> None:
    assert LogIn(email=address, password="p").email == looked_up


def test_an_address_of_before_is_looked_up_as_it_was_stored() -> None:
    assert earlier_form("\u1e97om@example.com") == "t\u0308om@example.com"
    assert earlier_form("ada@example.com") == "ada@example.com"
