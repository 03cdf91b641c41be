"""`/me/tokens`: personal tokens, which scripts send instead of logging in."""

from typing import Annotated
from uuid import UUID

from litestar import Controller, delete, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter

from app.auth.jwt_auth import AuthenticatedRequest
from app.errors import TooManyTokens
from app.services.personal_tokens import PersonalTokenService
from app.storage.queries import DatabaseQueries
from controllers import auth
from controllers.auth import limit_requests
from controllers.documentation import BEARER, problems
from models import PersonalTokenCreate, PersonalTokenCreated, PersonalTokenRead
from models.columns import now

PersonalTokenID = Annotated[UUID, PathParameter(description="The token's `id`.")]


class PersonalTokenController(Controller):
    """Issues, lists and revokes the current user's personal tokens."""

    path = "/me/tokens"
    tags = [auth.TAG.name]
    security = BEARER
    guards = [limit_requests]

    @post(
        operation_id="createPersonalToken",
        summary="Create a personal token",
        description=(
            "Issues a token for a script, which sends it as `Authorization: Bearer …`. It does what its scopes name, "
            "until it expires or is revoked, and nothing under `/auth` and `/me` but `GET /me`. A user has at most 50. "
            "A new password leaves them, unless it is set by a mailed link or an operator."
        ),
        response_description="The token, which is shown only here.",
        responses=problems(400, 401, TooManyTokens, 413, 415, 429, 503),
    )
    async def create_token(
        self,
        data: JSONBody[PersonalTokenCreate],
        request: AuthenticatedRequest,
        personal_tokens: NamedDependency[PersonalTokenService],
    ) -> PersonalTokenCreated:
        """Answer `POST /me/tokens`."""
        return await personal_tokens.create(request.user, data)

    @get(
        operation_id="listPersonalTokens",
        summary="List the personal tokens",
        description="Lists the tokens that are neither revoked nor expired, newest first, without their secrets.",
        response_description="The tokens, newest first.",
        responses=problems(401, 429, 503),
    )
    async def list_tokens(
        self, request: AuthenticatedRequest, queries: NamedDependency[DatabaseQueries]
    ) -> list[PersonalTokenRead]:
        """Answer `GET /me/tokens`."""
        return await queries.personal_tokens(request.user.user_id, now())

    @delete(
        "/{id:uuid}",
        operation_id="revokePersonalToken",
        summary="Revoke a personal token",
        description="Revokes one token. It is refused from the next request on, on every node.",
        response_description="The token is revoked.",
        responses=problems(401, 404, 429, 503),
    )
    async def revoke_token(
        self,
        id: PersonalTokenID,
        request: AuthenticatedRequest,
        personal_tokens: NamedDependency[PersonalTokenService],
    ) -> None:
        """Answer `DELETE /me/tokens/{id}`."""
        await personal_tokens.end(request.user.user_id, id)

    @delete(
        operation_id="revokeAllPersonalTokens",
        summary="Revoke all personal tokens",
        description="Revokes every token. Sessions stay.",
        response_description="All tokens are revoked.",
        responses=problems(401, 429, 503),
    )
    async def revoke_all_tokens(
        self, request: AuthenticatedRequest, personal_tokens: NamedDependency[PersonalTokenService]
    ) -> None:
        """Answer `DELETE /me/tokens`."""
        await personal_tokens.end_all(request.user.user_id)
