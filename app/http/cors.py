"""Cross-origin requests: what pages of other origins may send and read."""

from collections.abc import Sequence

from litestar.config.cors import CORSConfig


def create_cors_config(allowed_origins: Sequence[str]) -> CORSConfig | None:
    """Return the CORS settings for pages of these origins; `None` if there are none."""
    if not allowed_origins:
        return None
    return CORSConfig(
        allow_origins=list(allowed_origins),
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=[
            "Authorization",
            "Content-Type",
            "If-Match",
            "If-None-Match",
            "Idempotency-Key",
            "Last-Event-ID",
            "Traceparent",
            "X-Request-ID",
        ],
        expose_headers=[
            "ETag",
            "Link",
            "Location",
            "Cache-Status",
            "Retry-After",
            "RateLimit",
            "RateLimit-Policy",
            "Idempotency-Replayed",
            "X-Request-ID",
        ],
    )
