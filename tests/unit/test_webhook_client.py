"""What a receiver asks for with `Retry-After`."""

from datetime import timedelta
from email.utils import format_datetime

import pytest

from app.delivery.webhook_client import retry_after
from app.delivery.webhook_sender import SenderPolicy
from models.columns import now


@pytest.mark.parametrize(("value", "seconds"), [("0", 0), ("120", 120), (" 7 ", 7), ("9" * 5000, float("inf"))])
def test_seconds_are_taken(value: str, seconds: float) -> None:
    assert retry_after([(b"Content-Type", b"text/plain"), (b"RETRY-AFTER", value.encode())]) == seconds


def test_a_date_is_taken() -> None:
    at = (now() + timedelta(seconds=600)).replace(microsecond=0)

    for value in (format_datetime(at, usegmt=True), at.strftime("%A, %d-%b-%y %H:%M:%S GMT"), at.strftime("%c")):
        assert 590 < (retry_after([(b"retry-after", value.encode())]) or 0) <= 600


def test_a_date_in_the_past_is_now() -> None:
    assert retry_after([(b"retry-after", b"Sun, 06 Nov 1994 08:49:37 GMT")]) == 0


@pytest.mark.parametrize("value", [b"", b"soon", b"-5", b"1.5", b"\xb2", b"Mon, 99 Foo 2026 99:99:99 GMT", b"\xff"])
def test_what_is_neither_is_ignored(value: bytes) -> None:
    assert retry_after([(b"retry-after", value)]) is None
    assert retry_after([]) is None


def test_the_later_of_our_time_and_theirs_counts_up_to_a_day() -> None:
    policy = SenderPolicy(first_delay=10, longest_delay=10)

    def delay(asked: float | None) -> float:
        return policy.delay(1, asked).total_seconds()

    assert 5 <= delay(None) <= 10
    assert 5 <= delay(0) <= 10
    assert 5 <= delay(1) <= 10
    assert delay(600) == 600
    assert delay(7200) == 7200
    assert delay(100_000) == 86_400
    assert delay(float("inf")) == 86_400
