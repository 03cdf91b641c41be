"""What the routes that write have in common: they can be retried, and tell the version that they made."""

from typing import Annotated

from litestar.params import HeaderParameter

from controllers.documentation import response_header

IdempotencyKeyHeader = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="A retry with the same key, within 24 hours, changes nothing and is answered as the first request.",
    ),
]

REPLAYED = response_header(
    "Idempotency-Replayed", "`true` if the answer is that of an earlier request with the same key."
)
TIMELINE_VERSION = response_header("Timeline-Version", "The timeline's version that the change made.")


def write_headers(timeline_version: int | None, *, is_replayed: bool) -> dict[str, str]:
    """Return these headers for an answer; a write that changes no timeline has no version."""
    headers = {} if timeline_version is None else {"Timeline-Version": str(timeline_version)}
    return headers | {"Idempotency-Replayed": "true"} if is_replayed else headers
