"""`/posts`: the current user's posts."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from typing import Annotated, Any, cast
from uuid import UUID

from litestar import Controller, MediaType, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Tag
from litestar.params import HeaderParameter, JSONBody, PathParameter, QueryParameter
from litestar.response import Stream
from litestar.serialization import encode_json

from app.auth.jwt_auth import AuthenticatedRequest
from app.auth.scopes import READS_POSTS, WRITES_POSTS
from app.errors import QuotaExceeded
from app.http.etags import etag
from app.http.large_answers import LargeAnswers
from app.http.list_cache import ListCacheMiddleware, leave_uncached
from app.http.preconditions import ConditionalReads, Preconditions
from app.http.request_body import MAX_TEXT_BYTES, too_large
from app.services.posts import PostService
from app.storage.post_lists import Page
from app.storage.queries import DatabaseQueries
from app.storage.searches import Criteria
from controllers.documentation import BEARER, problems, response_header
from controllers.numbers import digits_only
from controllers.searches import CreatedAfter, CreatedBefore, SearchText, criteria_of, next_link
from controllers.write_limit import limit_writes
from controllers.writes import REPLAYED, TIMELINE_VERSION, IdempotencyKeyHeader, write_headers
from models import PostCreate, PostCreated, PostItem, PostRead, PostUpdate

TAG = Tag(name="Posts", description="The current user's posts.")

_MAX_POSITION = 2**63 - 1
_GROUP_CHARACTERS = 256 * 1024

PostID = Annotated[UUID, PathParameter(description="The post's `postID`.")]
Limit = Annotated[
    int | None, QueryParameter(ge=1, le=1000, description="The maximum number of posts; without it, all of them.")
]
Cursor = Annotated[
    int | None,
    QueryParameter(ge=1, le=_MAX_POSITION, description="Where the page begins: from the previous page's `Link`."),
]
# These are for the document: a request may have several lines of them, so `Preconditions` reads the scope.
IfMatch = Annotated[
    str | None, HeaderParameter(name="If-Match", description='Act only on this version of the post, such as `"3"`.')
]
IfTimelineMatch = Annotated[
    str | None,
    HeaderParameter(name="If-Match", description='Act only on this version of the timeline, such as `"17"`.'),
]
IfNoneMatch = Annotated[
    str | None, HeaderParameter(name="If-None-Match", description='The ETag that the client has, such as `"17"`.')
]
UnlessMatch = Annotated[
    str | None, HeaderParameter(name="If-None-Match", description='Do not act on this version, such as `"3"`.')
]

NOT_MODIFIED = {304: ResponseSpec(None, description="`If-None-Match` names the current version.")}


class PostController(Controller):
    """Creates, lists, reads, edits and deletes the current user's posts."""

    path = "/posts"
    tags = [TAG.name]
    security = BEARER
    before_request = staticmethod(limit_writes)

    @post(
        operation_id="createPost",
        opt=WRITES_POSTS,
        summary="Add a post",
        description="Adds a post, and answers when it is committed. With an `Idempotency-Key`, a retry adds nothing.",
        response_description="The post is committed.",
        request_max_body_size=MAX_TEXT_BYTES,
        responses=problems(400, 401, QuotaExceeded, 412, 413, 415, 422, 429, 503, on_413=too_large(MAX_TEXT_BYTES)),
        response_headers=[
            response_header("Location", "The post's address."),
            TIMELINE_VERSION,
            REPLAYED,
        ],
    )
    async def create_post(
        self,
        data: JSONBody[PostCreate],
        request: AuthenticatedRequest,
        posts: NamedDependency[PostService],
        *,
        idempotency_key: IdempotencyKeyHeader = None,
        if_match: IfTimelineMatch = None,  # noqa: ARG002
        if_none_match: UnlessMatch = None,  # noqa: ARG002
    ) -> Response[PostCreated]:
        """Answer `POST /posts`."""
        added = await posts.create(
            request.user.user_id, data, idempotency_key, if_version=Preconditions.of(request.scope)
        )
        headers = write_headers(added.timeline_version, is_replayed=added.is_replayed)
        return Response(PostCreated(postID=added.post_id), headers=headers | {"Location": f"/posts/{added.post_id}"})

    @get(
        operation_id="listPosts",
        opt=READS_POSTS,
        summary="List all posts",
        description=(
            "Lists the posts, newest first: all of them, or pages of `limit` posts. The list is never older than the "
            "newest change acknowledged before the request. With `q`, `created_after` or `created_before`, only posts "
            "that match are listed. A page of them may have fewer than `limit` posts, even none, before the last page."
        ),
        before_request=digits_only("limit", "cursor"),
        cache=True,
        middleware=[ListCacheMiddleware],
        response_description="The posts, newest first.",
        responses=NOT_MODIFIED | problems(400, 401, 412, 429, 503),
        response_headers=[
            response_header("ETag", "The timeline's version that the list shows."),
            response_header("Cache-Status", "`postline; hit` or `postline; fwd=miss` (RFC 9211)."),
            response_header("Link", 'The next page, as `<…>; rel="next"` (RFC 8288); absent on the last one.'),
        ],
    )
    async def list_posts(
        self,
        request: AuthenticatedRequest,
        queries: NamedDependency[DatabaseQueries],
        *,
        q: SearchText = None,
        created_after: CreatedAfter = None,
        created_before: CreatedBefore = None,
        limit: Limit = None,
        cursor: Cursor = None,
        if_match: IfTimelineMatch = None,  # noqa: ARG002
        if_none_match: IfNoneMatch = None,  # noqa: ARG002
    ) -> Response[list[PostRead]]:
        """Answer `GET /posts` on a cache miss."""
        criteria = criteria_of(request, q, created_after, created_before)
        if criteria is not None:
            return await _search(request, queries, criteria, limit, cursor)
        page = await queries.page(request.user.user_id, limit, cursor)
        encoded = None if page is None else _encoded_whole(page.posts, queries.max_held_bytes)
        if page is not None and encoded is not None:
            return _answer(request, page, encoded)
        # Not held while a snapshot is waited for.
        page = None
        large_answers = _admitted(request)
        parts = queries.page_in_parts(request.user.user_id, limit, cursor)
        # The first part is read before the status is sent, so that a failure can still be answered.
        page = await anext(parts)
        return _answer(request, page, large_answers.read_ahead(request.scope, _encoded(parts)))

    @get(
        "/{postID:uuid}",
        operation_id="readPost",
        opt=READS_POSTS,
        summary="Read a post",
        description="Reads one post.",
        middleware=[ConditionalReads],
        response_description="The post.",
        responses=NOT_MODIFIED | problems(401, 404, 412, 429, 503),
        response_headers=[response_header("ETag", "The post's version.")],
    )
    async def read_post(
        self,
        postID: PostID,
        request: AuthenticatedRequest,
        queries: NamedDependency[DatabaseQueries],
        if_match: IfMatch = None,  # noqa: ARG002
        if_none_match: IfNoneMatch = None,  # noqa: ARG002
    ) -> Response[PostRead]:
        """Answer `GET /posts/{postID}`."""
        found = await queries.post(request.user.user_id, postID)
        return Response(found, headers={"ETag": etag(found.version)})

    @patch(
        "/{postID:uuid}",
        operation_id="updatePost",
        opt=WRITES_POSTS,
        summary="Replace a post's text",
        description="Replaces the text, increments the post's version, and answers when that is committed.",
        response_description="The post as it is now.",
        request_max_body_size=MAX_TEXT_BYTES,
        responses=problems(
            400, 401, QuotaExceeded, 404, 412, 413, 415, 422, 429, 503, on_413=too_large(MAX_TEXT_BYTES)
        ),
        response_headers=[response_header("ETag", "The post's new version."), TIMELINE_VERSION, REPLAYED],
    )
    async def update_post(
        self,
        postID: PostID,
        data: JSONBody[PostUpdate],
        request: AuthenticatedRequest,
        posts: NamedDependency[PostService],
        *,
        idempotency_key: IdempotencyKeyHeader = None,
        if_match: IfMatch = None,  # noqa: ARG002
        if_none_match: UnlessMatch = None,  # noqa: ARG002
    ) -> Response[PostRead]:
        """Answer `PATCH /posts/{postID}`."""
        updated = await posts.update(
            request.user.user_id, postID, data, idempotency_key, if_version=Preconditions.of(request.scope)
        )
        headers = write_headers(updated.timeline_version, is_replayed=updated.is_replayed)
        return Response(updated.post, headers=headers | {"ETag": etag(updated.post.version)})

    @delete(
        "/{postID:uuid}",
        operation_id="deletePost",
        opt=WRITES_POSTS,
        summary="Delete a post",
        description="Deletes the post, and answers when that is committed. No list that is read afterwards shows it.",
        response_description="The post is gone.",
        responses=problems(400, 401, 404, 412, 422, 429, 503),
        response_headers=[TIMELINE_VERSION, REPLAYED],
    )
    async def delete_post(
        self,
        postID: PostID,
        request: AuthenticatedRequest,
        posts: NamedDependency[PostService],
        *,
        idempotency_key: IdempotencyKeyHeader = None,
        if_match: IfMatch = None,  # noqa: ARG002
        if_none_match: UnlessMatch = None,  # noqa: ARG002
    ) -> Response[None]:
        """Answer `DELETE /posts/{postID}`."""
        deleted = await posts.delete(
            request.user.user_id, postID, idempotency_key, if_version=Preconditions.of(request.scope)
        )
        return Response(None, headers=write_headers(deleted.timeline_version, is_replayed=deleted.is_replayed))


async def _search(
    request: AuthenticatedRequest, queries: DatabaseQueries, criteria: Criteria, limit: int | None, cursor: int | None
) -> Response[Any]:
    page, rest = await queries.search(request.user.user_id, criteria, limit, cursor)
    encoded = None if rest is not None else _encoded_whole(page.posts, queries.max_held_bytes)
    if encoded is not None:
        return _answer(request, page, encoded)
    pieces = _admitted(request).read_ahead(request.scope, _encoded(_one_after_another(page, rest)))
    return _answer(request, page, pieces)


def _admitted(request: AuthenticatedRequest) -> LargeAnswers:
    """Return what sends the answer, which is read in parts and not cached, if there is room for it."""
    leave_uncached(request)
    # As a second dependency it would take longer, for every list, than encoding a small one.
    large_answers: LargeAnswers = request.app.state.large_answers
    large_answers.admit(request.scope)
    return large_answers


def _answer(request: AuthenticatedRequest, page: Page, body: bytes | AsyncIterator[bytes]) -> Response[Any]:
    answer: Response[Any]
    if isinstance(body, bytes):
        answer = Response(body, media_type=MediaType.JSON)
    else:
        answer = cast("Response[Any]", Stream(body, media_type=MediaType.JSON))
    # A change may have been committed since the cache lookup: the list belongs to the version that was read.
    request.user.timeline_version = page.version
    answer.set_header("ETag", etag(page.version))
    if page.next_cursor is not None:
        answer.set_header("Link", next_link(request, page.next_cursor))
    return answer


async def _one_after_another(page: Page, rest: AsyncGenerator[Page] | None) -> AsyncGenerator[Page]:
    yield page
    if rest is not None:
        async with aclosing(rest):
            async for part in rest:
                yield part


def _encoded_whole(posts: Sequence[PostItem], max_bytes: int) -> bytes | None:
    """Return the posts as a JSON array, or `None` if it is larger than that: escaped, a text grows up to six times."""
    groups = list(_groups(posts))
    if len(groups) <= 1:
        encoded = encode_json(posts)
        return encoded if len(encoded) <= max_bytes else None
    parts, size = list[bytes](), 0
    for group in groups:
        parts.append(encode_json(group)[1:-1])
        size += len(parts[-1]) + 1
        if size > max_bytes:
            return None
    return b"[" + b",".join(parts) + b"]"


async def _encoded(parts: AsyncIterator[Page]) -> AsyncGenerator[bytes]:
    """Yield the parts' posts as one JSON array."""
    mark = b"["
    async for part in parts:
        for group in _groups(part.posts):
            yield mark + encode_json(group)[1:-1]
            mark = b","
    yield b"[]" if mark == b"[" else b"]"


def _groups(posts: Sequence[PostItem]) -> Iterator[Sequence[PostItem]]:
    """Yield the posts a few at a time, so that little is encoded at once."""
    begin = characters = 0
    for end, item in enumerate(posts):
        characters += len(item.text)
        if characters > _GROUP_CHARACTERS:
            yield posts[begin : end + 1]
            begin, characters = end + 1, 0
    if begin < len(posts):
        yield posts[begin:]
