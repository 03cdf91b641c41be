"""Whose word is taken for a client's address."""

from pathlib import Path

import httpx
import pytest

from tests.e2e.server import serving


@pytest.mark.parametrize(
    ("trusted", "expected"),
    [("", [401, 401, 429, 429]), ("127.0.0.0/8", [401] * 4), ("192.0.2.7", [401, 401, 429, 429])],
)
def test_a_forwarded_address_counts_only_from_a_trusted_proxy(
    tmp_path: Path, trusted: str, expected: list[int]
) -> None:
    settings = {"AUTH_RATE_LIMIT": "2/minute", "TRUSTED_PROXIES": trusted}
    with serving(tmp_path, settings=settings) as server:
        answers = [
            httpx.post(
                f"{server.url}/auth/refresh",
                json={"refresh_token": "x"},
                headers={"x-forwarded-for": f"198.51.100.{number}"},
            ).status_code
            for number in range(4)
        ]

    assert answers == expected
