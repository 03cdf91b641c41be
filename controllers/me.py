"""`/me`: the current user's account."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any
from uuid import UUID

from litestar import Controller, delete, get, post, put
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example, Tag
from litestar.params import JSONBody
from litestar.response import Stream
from litestar.serialization import encode_json
from litestar.status_codes import HTTP_204_NO_CONTENT

from app.auth.jwt_auth import AuthenticatedRequest
from app.auth.scopes import ANY_SCOPE
from app.http.large_answers import LargeAnswers
from app.services.users import UserService
from app.settings import Settings
from app.shares import Share
from app.storage.exports import ExportQueries
from app.storage.queries import DatabaseQueries
from controllers.documentation import BEARER, problems
from models import (
    ExportedUser,
    ExportEnd,
    PasswordChange,
    PasswordConfirmation,
    PersonalTokenRead,
    PostRead,
    Quota,
    SessionRead,
    UserRead,
    WebhookDeliveryExport,
    WebhookRead,
)

TAG = Tag(name="Account", description="The current user's account.")

NDJSON = "application/x-ndjson"

_EXAMPLE: list[Any] = [
    ExportedUser.example,
    PostRead.example,
    {"session": SessionRead.example},
    {"personal_token": PersonalTokenRead.example},
    {"webhook": WebhookRead.example},
    {"webhook_delivery": WebhookDeliveryExport.example},
    {"end": ExportEnd.example},
]

_EXPORTED = {
    200: ResponseSpec(
        str,
        description="One JSON object a line.",
        media_type=NDJSON,
        generate_examples=False,
        examples=[Example(value="".join(encode_json(line).decode() + "\n" for line in _EXAMPLE))],
    )
}


class MeController(Controller):
    """Shows, changes, exports and erases the current user's account."""

    path = "/me"
    tags = [TAG.name]
    security = BEARER

    @get(
        operation_id="readMe",
        summary="Read the account",
        opt=ANY_SCOPE,
        description=(
            "Reads the account, with the number of its posts, and with how much it may keep, and does. Every personal "
            "token may do that."
        ),
        response_description="The account.",
        responses=problems(401, 429, 503),
    )
    async def read(
        self,
        request: AuthenticatedRequest,
        queries: NamedDependency[DatabaseQueries],
        open_feeds: NamedDependency[Share],
        large_answers: NamedDependency[LargeAnswers],
        settings: NamedDependency[Settings],
    ) -> UserRead:
        """Answer `GET /me`."""
        user = await queries.user(request.user.user_id)
        if user.limits is not None:
            user.limits.feeds = _share(open_feeds, user.user_id)
            user.limits.unread_bytes = _share(large_answers.memory, user.user_id)
            user.limits.writes = settings.write_rate_limit
        return user

    @put(
        "/password",
        operation_id="changePassword",
        summary="Change the password",
        description="Replaces the password, and ends every session except the current one. Personal tokens stay.",
        status_code=HTTP_204_NO_CONTENT,
        response_description="The password is replaced.",
        responses=problems(400, 401, 403, 413, 415, 429, 503),
    )
    async def change_password(
        self,
        data: JSONBody[PasswordChange],
        request: AuthenticatedRequest,
        users: NamedDependency[UserService],
    ) -> None:
        """Answer `PUT /me/password`."""
        await users.change_password(request.user, data)

    @get(
        "/export",
        operation_id="exportMe",
        summary="Export everything",
        description=(
            "Streams one JSON object a line: the account, then every post, oldest first. Each line after them has one "
            "field, which names its kind: `session`, `personal_token`, `webhook`, or `webhook_delivery`, which follows "
            "its webhook. More kinds may be added in the future. Secrets are left out."
        ),
        media_type=NDJSON,
        responses=_EXPORTED | problems(401, 429, 503),
    )
    async def export(
        self,
        request: AuthenticatedRequest,
        exports: NamedDependency[ExportQueries],
        large_answers: NamedDependency[LargeAnswers],
    ) -> Stream:
        """Answer `GET /me/export`."""
        large_answers.admit(request.scope)
        lines = exports.encoded(request.user.user_id, request.user.session_id)
        # The first line is read before the status is sent, so that a failure can still be answered.
        first = await anext(lines)
        return Stream(
            large_answers.read_ahead(request.scope, _with_first(first, lines)),
            media_type=NDJSON,
            headers={"Content-Disposition": 'attachment; filename="postline.ndjson"'},
        )

    @delete(
        operation_id="eraseMe",
        summary="Erase the account",
        description="Removes the account and everything it owns, for good. The address can sign up again.",
        response_description="The account is gone.",
        responses=problems(400, 401, 403, 413, 415, 429, 503),
    )
    async def erase(
        self,
        data: JSONBody[PasswordConfirmation],
        request: AuthenticatedRequest,
        users: NamedDependency[UserService],
    ) -> None:
        """Answer `DELETE /me`."""
        await users.erase(request.user, data.password)

    @post(
        "/erase",
        operation_id="eraseMeByPost",
        summary="Erase the account",
        description="Does the same as `DELETE /me`, for clients and proxies that drop the body of a DELETE.",
        status_code=HTTP_204_NO_CONTENT,
        response_description="The account is gone.",
        responses=problems(400, 401, 403, 413, 415, 429, 503),
    )
    async def erase_by_post(
        self,
        data: JSONBody[PasswordConfirmation],
        request: AuthenticatedRequest,
        users: NamedDependency[UserService],
    ) -> None:
        """Answer `POST /me/erase`."""
        await users.erase(request.user, data.password)


def _share(share: Share, user_id: UUID) -> Quota:
    return Quota(used=share.held.get(user_id, 0), limit=share.per_key)


async def _with_first(first: bytes, others: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    async with aclosing(others):
        yield first
        async for line in others:
            yield line
