"""Cross-origin requests: what pages of other origins may send and read."""

from collections.abc import Sequence

from litestar.config.cors import CORSConfig


def create_cors_config(allowed_origins: Sequence[str]) -> CORSConfig | None:
    """Return the CORS settings for pages of these origins; `None` if there are none."""
    if not allowed_origins:
        return None
    return CORSConfig(
        allow_origins=list(allowed_origins),
        allow_methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
        # Whatever a page asks for: libraries send headers of their own, for tracing or against caches, and no list is
        # ever complete. It opens nothing, because a page has no credentials but the token that it sends itself.
        allow_headers=["*"],
        expose_headers=[
            # Whatever else an answer has; the names are for what does not know this sign.
            "*",
            "ETag",
            "Link",
            "Location",
            "Cache-Status",
            "Retry-After",
            "RateLimit",
            "RateLimit-Policy",
            "Idempotency-Replayed",
            "Timeline-Version",
            "X-Request-ID",
        ],
    )
