"""`/posts`: the current user's posts."""

from collections.abc import AsyncIterator
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
from app.http.etags import etag, matches_any, versions_in
from app.http.headers import joined_header
from app.http.list_cache import ListCacheMiddleware, leave_uncached
from app.services.posts import PostService
from app.storage.post_lists import Page
from app.storage.queries import DatabaseQueries
from controllers.documentation import BEARER, problems, response_header
from controllers.numbers import digits_only
from models import PostCreate, PostCreated, PostRead, PostUpdate

TAG = Tag(name="Posts", description="The current user's posts.")

_MAX_POSITION = 2**63 - 1

PostID = Annotated[UUID, PathParameter(description="The post's `postID`.")]
Limit = Annotated[
    int | None, QueryParameter(ge=1, le=1000, description="The maximum number of posts; without it, all of them.")
]
Cursor = Annotated[
    int | None,
    QueryParameter(ge=1, le=_MAX_POSITION, description="Where the page begins: from the previous page's `Link`."),
]
IdempotencyKeyHeader = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        min_length=1,
        max_length=254,
        pattern=r"^[\x21-\x7e]+$",
        description="A retry with the same key, within 24 hours, adds no second post.",
    ),
]
IfMatch = Annotated[
    str | None, HeaderParameter(name="If-Match", description='Act only on this version of the post, such as `"3"`.')
]
IfNoneMatch = Annotated[
    str | None, HeaderParameter(name="If-None-Match", description='The ETag that the client has, such as `"17"`.')
]

_NOT_MODIFIED = {304: ResponseSpec(None, description="`If-None-Match` names the current version.")}


class PostController(Controller):
    """Creates, lists, reads, edits and deletes the current user's posts."""

    path = "/posts"
    tags = [TAG.name]
    security = BEARER

    @post(
        operation_id="createPost",
        summary="Add a post",
        description="Adds a post, and answers when it is committed. With an `Idempotency-Key`, a retry adds nothing.",
        response_description="The post is committed.",
        responses=problems(400, 401, 413, 415, 422, 503),
        response_headers=[
            response_header("Location", "The post's address."),
            response_header(
                "Idempotency-Replayed", "`true` if the answer is that of an earlier request with the same key."
            ),
        ],
    )
    async def create_post(
        self,
        data: JSONBody[PostCreate],
        request: AuthenticatedRequest,
        posts: NamedDependency[PostService],
        idempotency_key: IdempotencyKeyHeader = None,
    ) -> Response[PostCreated]:
        """Answer `POST /posts`."""
        added = await posts.create(request.user.user_id, data, idempotency_key)
        headers = {"Location": f"/posts/{added.post_id}"}
        if added.is_replayed:
            headers["Idempotency-Replayed"] = "true"
        return Response(PostCreated(postID=added.post_id), headers=headers)

    @get(
        operation_id="listPosts",
        summary="List all posts",
        description=(
            "Lists the posts, newest first: all of them, or pages of `limit` posts. The list is never older than the "
            "newest change acknowledged before the request."
        ),
        before_request=digits_only("limit", "cursor"),
        cache=True,
        middleware=[ListCacheMiddleware],
        response_description="The posts, newest first.",
        responses=_NOT_MODIFIED | problems(400, 401, 503),
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
        limit: Limit = None,
        cursor: Cursor = None,
        if_none_match: IfNoneMatch = None,  # noqa: ARG002 - for the document; the middleware handles it
    ) -> Response[list[PostRead]]:
        """Answer `GET /posts` on a cache miss."""
        page = await queries.page(request.user.user_id, limit, cursor)
        answer: Response[Any]
        if page is not None:
            answer = Response(encode_json(page.posts), media_type=MediaType.JSON)
        else:
            leave_uncached(request)
            parts = queries.page_in_parts(request.user.user_id, limit, cursor)
            # The first part is read before the status is sent, so that a failure can still be answered.
            page = await anext(parts)
            answer = cast("Response[Any]", Stream(_encoded(parts), media_type=MediaType.JSON))
        # A change may have been committed since the cache lookup: the list belongs to the version that was read.
        request.user.timeline_version = page.version
        answer.set_header("ETag", etag(page.version))
        if page.next_cursor is not None:
            answer.set_header("Link", f'</posts?limit={limit}&cursor={page.next_cursor}>; rel="next"')
        return answer

    @get(
        "/{postID:uuid}",
        operation_id="readPost",
        summary="Read a post",
        description="Reads one post.",
        response_description="The post.",
        responses=_NOT_MODIFIED | problems(401, 404, 503),
        response_headers=[response_header("ETag", "The post's version.")],
    )
    async def read_post(
        self,
        postID: PostID,
        request: AuthenticatedRequest,
        queries: NamedDependency[DatabaseQueries],
        if_none_match: IfNoneMatch = None,  # noqa: ARG002 - for the document; the scope may have several lines of it
    ) -> Response[PostRead]:
        """Answer `GET /posts/{postID}`."""
        found = await queries.post(request.user.user_id, postID)
        current = etag(found.version)
        if matches_any(joined_header(request.scope, "if-none-match"), current):
            not_modified: Response[Any] = Response(None, status_code=304, headers={"ETag": current})
            return not_modified
        return Response(found, headers={"ETag": current})

    @patch(
        "/{postID:uuid}",
        operation_id="updatePost",
        summary="Replace a post's text",
        description="Replaces the text, increments the post's version, and answers when that is committed.",
        response_description="The post as it is now.",
        responses=problems(400, 401, 404, 412, 413, 415, 503),
        response_headers=[response_header("ETag", "The post's new version.")],
    )
    async def update_post(
        self,
        postID: PostID,
        data: JSONBody[PostUpdate],
        request: AuthenticatedRequest,
        posts: NamedDependency[PostService],
        if_match: IfMatch = None,  # noqa: ARG002 - for the document; the scope may have several lines of it
    ) -> Response[PostRead]:
        """Answer `PATCH /posts/{postID}`."""
        updated = await posts.update(
            request.user.user_id, postID, data, if_version=versions_in(joined_header(request.scope, "if-match"))
        )
        return Response(updated, headers={"ETag": etag(updated.version)})

    @delete(
        "/{postID:uuid}",
        operation_id="deletePost",
        summary="Delete a post",
        description="Deletes the post, and answers when that is committed. No list that is read afterwards shows it.",
        response_description="The post is gone.",
        responses=problems(401, 404, 412, 503),
    )
    async def delete_post(
        self,
        postID: PostID,
        request: AuthenticatedRequest,
        posts: NamedDependency[PostService],
        if_match: IfMatch = None,  # noqa: ARG002 - for the document; the scope may have several lines of it
    ) -> None:
        """Answer `DELETE /posts/{postID}`."""
        await posts.delete(
            request.user.user_id, postID, if_version=versions_in(joined_header(request.scope, "if-match"))
        )


async def _encoded(parts: AsyncIterator[Page]) -> AsyncIterator[bytes]:
    """Yield the parts' posts as one JSON array."""
    mark = b"["
    async for part in parts:
        if part.posts:
            yield mark + encode_json(part.posts)[1:-1]
            mark = b","
    yield b"[]" if mark == b"[" else b"]"
