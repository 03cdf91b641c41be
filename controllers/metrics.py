"""`/metrics`, for Prometheus."""

from litestar import get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example

from app.auth.jwt_auth import PUBLIC
from app.http.hosts import ANY_HOST
from app.telemetry.metrics import Metrics
from controllers.documentation import problems
from controllers.health import TAG

# Litestar adds the charset.
_TEXT_FORMAT = "text/plain; version=0.0.4"

_EXAMPLE = """# HELP postline_http_request_duration_seconds Requests that have been answered, and how long that took.
# TYPE postline_http_request_duration_seconds histogram
postline_http_request_duration_seconds_count{method="GET",route="/posts",status="200"} 17.0
"""


@get(
    "/metrics",
    operation_id="readMetrics",
    summary="Read metrics",
    description=(
        "Answers in Prometheus' text format, for all workers of this server. While the database does not answer, "
        "`postline_database_up` is 0 and the metrics that are read from the database are missing. If several workers "
        "can't share their metrics, because the folder for it is full or gone, the answer is 503; requests are served."
    ),
    tags=[TAG.name],
    opt=PUBLIC | ANY_HOST,
    media_type=_TEXT_FORMAT,
    responses={
        200: ResponseSpec(
            str,
            description="Metrics in Prometheus' text format.",
            media_type=_TEXT_FORMAT,
            generate_examples=False,
            examples=[Example(value=_EXAMPLE)],
        )
    }
    | problems(503),
)
async def read_metrics(metrics: NamedDependency[Metrics]) -> bytes:
    """Answer `GET /metrics`."""
    return await metrics.exposition()
