"""`/posts/changes`: the posts that changed since a version, for clients that keep a copy."""

from http import HTTPStatus
from typing import Annotated, Any

from litestar import Controller, MediaType, Response, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from litestar.serialization import encode_json

from app.auth.jwt_auth import AuthenticatedRequest
from app.auth.scopes import READS_POSTS
from app.errors import HistoryNotKept, PreconditionFailed
from app.http.etags import etag
from app.http.list_cache import ListCacheMiddleware, changes_key, leave_uncached
from app.http.preconditions import Preconditions
from app.storage.changes import ChangesPage
from app.storage.queries import DatabaseQueries
from controllers.documentation import BEARER, problems, response_header
from controllers.numbers import digits_only
from controllers.posts import NOT_MODIFIED, TAG, IfNoneMatch, IfTimelineMatch
from models import ChangesRead

MAX_CHANGES = 1000

_MAX_VERSION = 2**63 - 1
# Devices that keep up with a timeline ask for the same few changes; one that starts over must not fill the cache.
_MAX_CACHED_BYTES = 64 * 1024

Since = Annotated[
    int,
    QueryParameter(
        ge=0,
        le=_MAX_VERSION,
        # Litestar leaves bounds of zero out of the document, and rounds large ones.
        schema_extra={"minimum": 0, "maximum": _MAX_VERSION},
        description="The version that the client has: the list's `ETag`, or the `version` of the page before.",
    ),
]
ChangesLimit = Annotated[
    int | None,
    QueryParameter(ge=1, le=MAX_CHANGES, description="The maximum number of changes; without it, 1,000."),
]


class ChangeController(Controller):
    """Tells what changed in the current user's posts."""

    path = "/posts/changes"
    tags = [TAG.name]
    security = BEARER

    @get(
        operation_id="listChanges",
        summary="List what changed",
        description=(
            "Lists the posts that changed after version `since`, each once and in its newest state, deleted ones with "
            "`post: null`, ordered by the version of their newest change. A page holds at most 4 MiB, and may hold "
            "fewer changes than `limit`, even none, while `has_more` is true. Apply the changes, store the page's "
            "`version`, and send it as the next `since`."
        ),
        before_request=digits_only("since", "limit", required="since"),
        opt=READS_POSTS,
        cache=True,
        cache_key_builder=changes_key,
        middleware=[ListCacheMiddleware],
        response_description="The changes, oldest first.",
        responses=NOT_MODIFIED | problems(400, 401, HistoryNotKept, 412, 429, 503),
        response_headers=[
            response_header("ETag", "The timeline's version that the posts are shown at."),
            response_header("Cache-Status", "`postline; hit` or `postline; fwd=miss` (RFC 9211)."),
        ],
    )
    async def list_changes(
        self,
        since: Since,
        request: AuthenticatedRequest,
        queries: NamedDependency[DatabaseQueries],
        *,
        limit: ChangesLimit = None,
        if_match: IfTimelineMatch = None,  # noqa: ARG002
        if_none_match: IfNoneMatch = None,  # noqa: ARG002
    ) -> Response[ChangesRead]:
        """Answer `GET /posts/changes` on a cache miss."""
        current = request.user.timeline_version
        preconditions = Preconditions.of(request.scope)
        if preconditions is not None and since <= current:
            # Before anything is read; the middleware looks again, at the version that is.
            status = preconditions.status_of_read(etag(current))
            if status is HTTPStatus.PRECONDITION_FAILED:
                raise PreconditionFailed(f"The current ETag is {etag(current)}.")
            if status is HTTPStatus.NOT_MODIFIED:
                unchanged: Response[Any] = Response(None, status_code=status, headers={"ETag": etag(current)})
                return unchanged
        page = await queries.changes(request.user.user_id, since, current, limit or MAX_CHANGES)
        body = _encoded(page, queries.max_held_bytes)
        if len(body) > _MAX_CACHED_BYTES:
            leave_uncached(request)
        # A change may have been committed since the cache lookup: the page belongs to the version that was read.
        request.user.timeline_version = page.timeline_version
        answer: Response[Any] = Response(body, media_type=MediaType.JSON)
        answer.set_header("ETag", etag(page.timeline_version))
        return answer


def _encoded(page: ChangesPage, max_bytes: int) -> bytes:
    """Return as much of the page as JSON as is not larger than that: escaped, a text grows up to six times."""
    encoded, size = list[bytes](), 0
    for change in page.changes:
        encoded.append(encode_json(change))
        size += len(encoded[-1]) + 1
        if size > max_bytes and len(encoded) > 1:
            encoded.pop()
            page = page.first(len(encoded))
            break
    end = b'],"has_more":true}' if page.has_more else b'],"has_more":false}'
    return b'{"version":%d,"changes":[' % page.version + b",".join(encoded) + end
