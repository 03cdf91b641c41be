"""`/me`: the current user's account."""

from collections.abc import AsyncIterator
from typing import Any

from litestar import Controller, delete, get, put
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example, Tag
from litestar.params import JSONBody
from litestar.response import Stream
from litestar.serialization import encode_json
from litestar.status_codes import HTTP_204_NO_CONTENT

from app.auth.jwt_auth import AuthenticatedRequest
from app.services.users import UserService
from app.storage.exports import ExportLine, ExportQueries
from app.storage.queries import DatabaseQueries
from controllers.documentation import BEARER, problems
from models import (
    PasswordChange,
    PasswordConfirmation,
    PostItem,
    PostRead,
    SessionRead,
    UserRead,
    WebhookDeliveryExport,
    WebhookRead,
)

TAG = Tag(name="Account", description="The current user's account.")

NDJSON = "application/x-ndjson"

_EXAMPLE: list[Any] = [
    UserRead.example,
    PostRead.example,
    {"session": SessionRead.example},
    {"webhook": WebhookRead.example},
    {"webhook_delivery": WebhookDeliveryExport.example},
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
        description="Reads the account, with the number of its posts.",
        response_description="The account.",
        responses=problems(401, 503),
    )
    async def read(self, request: AuthenticatedRequest, queries: NamedDependency[DatabaseQueries]) -> UserRead:
        """Answer `GET /me`."""
        return await queries.user(request.user.user_id)

    @put(
        "/password",
        operation_id="changePassword",
        summary="Change the password",
        description="Replaces the password, and ends every session except the current one.",
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
            "field, which names its kind: `session`, `webhook`, or `webhook_delivery`, which follows its webhook. "
            "More kinds may be added in the future. Secrets are left out."
        ),
        media_type=NDJSON,
        responses=_EXPORTED | problems(401, 503),
    )
    async def export(self, request: AuthenticatedRequest, exports: NamedDependency[ExportQueries]) -> Stream:
        """Answer `GET /me/export`."""
        lines = exports.lines(request.user.user_id, request.user.session_id)
        # The first line is read before the status is sent, so that a failure can still be answered.
        first = await anext(lines)
        return Stream(
            _encoded(first, lines),
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


async def _encoded(first: ExportLine, others: AsyncIterator[ExportLine]) -> AsyncIterator[bytes]:
    yield _encode(first)
    async for line in others:
        yield _encode(line)


def _encode(line: ExportLine) -> bytes:
    entry = line.entry if isinstance(line.entry, PostItem) else line.entry.model_dump(mode="json")
    return encode_json(entry if line.kind is None else {line.kind: entry}) + b"\n"
