"""`/posts/batch`: several changes of the current user's posts at once."""

from litestar import Controller, Response, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from app.auth.jwt_auth import AuthenticatedRequest
from app.auth.scopes import WRITES_POSTS
from app.errors import QuotaExceeded
from app.http.preconditions import Preconditions
from app.http.request_body import MAX_TEXT_BYTES, max_parts, too_large
from app.services.posts import PostService
from controllers.documentation import BEARER, problems
from controllers.posts import TAG, IfTimelineMatch, UnlessMatch
from controllers.write_limit import limit_writes
from controllers.writes import REPLAYED, TIMELINE_VERSION, IdempotencyKeyHeader, write_headers
from models import PostBatch, PostBatchApplied

# An operation has up to four fields. Somewhat more than the maximum are read, so that the answer can say what it is.
_MAX_PARTS = 120 * 5


class BatchController(Controller):
    """Changes several of the current user's posts at once."""

    path = "/posts/batch"
    tags = [TAG.name]
    security = BEARER
    before_request = staticmethod(limit_writes)

    @post(
        operation_id="applyBatch",
        summary="Change several posts",
        description=(
            "Carries out 1 to 100 operations in order, all of them or none, and answers when they are committed. Each "
            "makes one version of the timeline. If one can't be carried out, `errors` names it, as `operations[3]`."
        ),
        status_code=200,
        response_description="All operations are committed.",
        request_max_body_size=MAX_TEXT_BYTES,
        opt=WRITES_POSTS | max_parts(_MAX_PARTS),
        responses=problems(
            400, 401, QuotaExceeded, 404, 412, 413, 415, 422, 429, 503, on_413=too_large(MAX_TEXT_BYTES)
        ),
        response_headers=[TIMELINE_VERSION, REPLAYED],
    )
    async def apply_batch(
        self,
        data: JSONBody[PostBatch],
        request: AuthenticatedRequest,
        posts: NamedDependency[PostService],
        *,
        idempotency_key: IdempotencyKeyHeader = None,
        if_match: IfTimelineMatch = None,  # noqa: ARG002
        if_none_match: UnlessMatch = None,  # noqa: ARG002
    ) -> Response[PostBatchApplied]:
        """Answer `POST /posts/batch`."""
        applied = await posts.apply(
            request.user.user_id, data, idempotency_key, if_version=Preconditions.of(request.scope)
        )
        return Response(applied.answer, headers=write_headers(applied.answer.version, is_replayed=applied.is_replayed))
