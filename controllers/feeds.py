"""`/posts/events`: a live feed of the timeline's changes."""

import logging
import re
from collections.abc import AsyncIterator
from typing import Annotated

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import HeaderParameter, QueryParameter
from litestar.response import Stream
from litestar.response.sse import ServerSentEventMessage
from litestar.serialization import encode_json

from app.auth.jwt_auth import AuthenticatedRequest
from app.auth.scopes import READS_POSTS
from app.http.large_answers import hold_until_answered
from app.services.feeds import FeedService, Reset, Signal
from app.shares import Share
from controllers.documentation import BEARER, problems
from controllers.numbers import digits_only
from controllers.posts import TAG
from events.types import PostEvent

logger = logging.getLogger(__name__)

_EVENT_STREAM = "text/event-stream"
_MAX_VERSION = 2**63 - 1
_VERSION = re.compile(r"0|[1-9][0-9]{0,18}")
# No empty line follows it: some libraries would take that for an event without data.
_HEARTBEAT = b":\n"
# Litestar leaves bounds of zero out of the document.
_FROM_ZERO = {"minimum": 0}

LastEventID = Annotated[
    str | None,
    HeaderParameter(
        name="Last-Event-ID",
        schema_extra={"type": "integer", "minimum": 0, "maximum": _MAX_VERSION},
        description="Resume after this event. Whatever is no event's id is answered with `reset`.",
    ),
]
After = Annotated[
    int | None,
    QueryParameter(
        ge=0,
        le=_MAX_VERSION,
        schema_extra=_FROM_ZERO,
        description="Like `Last-Event-ID`, for clients that can't set the header.",
    ),
]

_STREAM = {
    200: ResponseSpec(
        str,
        description="Server-sent events, and a comment after 15 seconds without one.",
        media_type=_EVENT_STREAM,
        generate_examples=False,
        examples=[
            Example(
                value=(
                    "id: 17\nevent: post.created\n"
                    'data: {"postID":"01a20544-8f6d-7250-9b81-05646f62c3bb","version":17,'
                    '"occurred_at":"2026-01-02T03:04:05.678901Z","type":"post.created"}\n\n'
                )
            )
        ],
    )
}


class FeedController(Controller):
    """Streams the changes of the current user's posts."""

    path = "/posts/events"
    tags = [TAG.name]
    security = BEARER
    opt = READS_POSTS

    @get(
        operation_id="followPosts",
        summary="Follow changes",
        description=(
            "Streams `post.created`, `post.updated` and `post.deleted` in order, each exactly once. The id is the "
            "timeline's version, which is also the list's ETag: read the list, and resume with it as `Last-Event-ID`. "
            '`reset`, with `{"version": 42}`, means that the requested position is no longer kept or never existed: '
            "read the list again, and resume after that version. The answer has no end, so Swagger UI never shows it: "
            "use `curl -N`."
        ),
        before_request=digits_only("after"),
        media_type=_EVENT_STREAM,
        responses=_STREAM | problems(400, 401, 429, 503),
    )
    async def follow(
        self,
        request: AuthenticatedRequest,
        feeds: NamedDependency[FeedService],
        open_feeds: NamedDependency[Share],
        last_event_id: LastEventID = None,
        after: After = None,
    ) -> Stream:
        """Answer `GET /posts/events`."""
        hold_until_answered(request.scope, open_feeds.hold(request.user.user_id))
        # When a browser reconnects, it repeats the original query, and the header has the newer position.
        position = after if last_event_id is None else _version_of(last_event_id)
        entries = feeds.follow(request.user.user_id, request.user.session_id, position)
        return Stream(_encoded(entries), media_type=_EVENT_STREAM, headers={"X-Accel-Buffering": "no"})


def _version_of(event_id: str) -> int:
    """Return the version that an event's id names.

    Libraries send an empty id, or `undefined`, before the first event, and would repeat it for ever if that were an
    error. So what is no id stands for a version that never was, after which a feed begins with `reset`.
    """
    return min(int(event_id), _MAX_VERSION) if _VERSION.fullmatch(event_id) else _MAX_VERSION


async def _encoded(entries: AsyncIterator[PostEvent | Reset | Signal]) -> AsyncIterator[bytes]:
    try:
        async for entry in entries:
            yield _HEARTBEAT if isinstance(entry, Signal) else _message(entry).encode()
    except Exception as error:  # noqa: BLE001 - the status is sent already, so the feed ends and the client reconnects
        logger.warning("a feed ended early: %s", type(error).__name__)


def _message(entry: PostEvent | Reset) -> ServerSentEventMessage:
    match entry:
        case Reset(version):
            return ServerSentEventMessage(event="reset", id=version, data=encode_json({"version": version}), sep="\n")
        case PostEvent():
            data = encode_json(entry.data)
            return ServerSentEventMessage(event=entry.type, id=entry.version, data=data, sep="\n")
