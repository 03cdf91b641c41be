"""`/auth`: sign-up, log-in and sessions."""

from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Request, delete, get, post
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency
from litestar.handlers import BaseRouteHandler
from litestar.openapi.spec import Tag
from litestar.params import HeaderParameter, JSONBody, PathParameter
from litestar.status_codes import HTTP_200_OK, HTTP_204_NO_CONTENT

from app.auth.jwt_auth import PUBLIC, AuthenticatedRequest, PrincipalFinder
from app.auth.rate_limits import client_of
from app.errors import EmailTaken, InvalidCredentials, InvalidInvite
from app.services.sessions import SessionService
from app.services.users import UserService
from app.storage.queries import DatabaseQueries
from controllers.documentation import BEARER, OPTIONAL_BEARER, problems
from models import LogIn, RefreshRequest, SessionRead, SignUp, TokenPair
from models.columns import now

TAG = Tag(name="Authentication", description="Sign-up, log-in, tokens and sessions.")

AnyRequest = Request[Any, Any, Any]

SessionID = Annotated[UUID, PathParameter(description="The session's `id`.")]
# Not in the document: clients send `User-Agent` by themselves.
UserAgent = Annotated[str, HeaderParameter(name="User-Agent", include_in_schema=False)]


async def limit_requests(connection: ASGIConnection, _: BaseRouteHandler) -> None:  # type: ignore[type-arg]
    """Rate-limit the request by its session, or else by its client's address."""
    key = connection.user.session_id.hex if "user" in connection.scope else client_of(connection)
    await connection.app.state.auth_limit.hit(key)


class AuthController(Controller):
    """Signs up, logs in, and renews, lists and ends sessions."""

    path = "/auth"
    tags = [TAG.name]
    guards = [limit_requests]

    @post(
        "/signup",
        operation_id="signUp",
        summary="Create an account",
        description="Creates an account and opens its first session.",
        opt=PUBLIC,
        response_description="The first session's tokens.",
        responses=problems(400, InvalidInvite, EmailTaken, 413, 415, 429, 503),
    )
    async def sign_up(
        self,
        data: JSONBody[SignUp],
        request: AnyRequest,
        users: NamedDependency[UserService],
        user_agent: UserAgent = "",
    ) -> TokenPair:
        """Answer `POST /auth/signup`."""
        return await users.sign_up(data, user_agent, client=client_of(request))

    @post(
        "/login",
        operation_id="logIn",
        summary="Log in",
        description=(
            "Opens a session. An unknown address and a wrong password get the same answer, in the same time. Failed "
            "attempts delay further ones on the same account from the same client. If the request carries the token of "
            "a live session of the same user, failed attempts of others do not delay it."
        ),
        opt=PUBLIC,
        security=OPTIONAL_BEARER,
        status_code=HTTP_200_OK,
        response_description="The session's tokens.",
        responses=problems(400, InvalidCredentials, 413, 415, 429, 503),
    )
    async def log_in(
        self,
        data: JSONBody[LogIn],
        request: AnyRequest,
        sessions: NamedDependency[SessionService],
        principals: NamedDependency[PrincipalFinder],
        user_agent: UserAgent = "",
    ) -> TokenPair:
        """Answer `POST /auth/login`."""
        principal = await principals.find(request.headers.get("authorization"))
        return await sessions.log_in(data, user_agent, principal, client=client_of(request))

    @post(
        "/refresh",
        operation_id="refreshToken",
        summary="Exchange a refresh token",
        description="Returns new tokens. The old refresh token is revoked, and using it again ends the session.",
        opt=PUBLIC,
        status_code=HTTP_200_OK,
        response_description="The session's new tokens.",
        responses=problems(
            400,
            401,
            413,
            415,
            429,
            503,
            on_401="The refresh token is unknown, expired or used, or its session has ended.",
        ),
    )
    async def refresh(
        self, data: JSONBody[RefreshRequest], sessions: NamedDependency[SessionService], user_agent: UserAgent = ""
    ) -> TokenPair:
        """Answer `POST /auth/refresh`."""
        return await sessions.refresh(data.refresh_token, user_agent)

    @post(
        "/logout",
        operation_id="logOut",
        summary="End this session",
        description="Ends the session of the token that the request carries.",
        security=BEARER,
        status_code=HTTP_204_NO_CONTENT,
        response_description="The session has ended.",
        responses=problems(401, 429, 503),
    )
    async def log_out(self, request: AuthenticatedRequest, sessions: NamedDependency[SessionService]) -> None:
        """Answer `POST /auth/logout`."""
        await sessions.log_out(request.user)

    @get(
        "/sessions",
        operation_id="listSessions",
        summary="List live sessions",
        description="Lists the sessions that have neither ended nor expired, newest first.",
        security=BEARER,
        response_description="The live sessions.",
        responses=problems(401, 429, 503),
    )
    async def list_sessions(
        self, request: AuthenticatedRequest, queries: NamedDependency[DatabaseQueries]
    ) -> list[SessionRead]:
        """Answer `GET /auth/sessions`."""
        return await queries.sessions(request.user.user_id, request.user.session_id, now())

    @delete(
        "/sessions/{id:uuid}",
        operation_id="endSession",
        summary="End a session",
        description="Ends one session. Its tokens are refused from the next request on, on every node.",
        security=BEARER,
        response_description="The session has ended.",
        responses=problems(401, 404, 429, 503),
    )
    async def end_session(
        self, id: SessionID, request: AuthenticatedRequest, sessions: NamedDependency[SessionService]
    ) -> None:
        """Answer `DELETE /auth/sessions/{id}`."""
        await sessions.end(request.user.user_id, id)

    @delete(
        "/sessions",
        operation_id="endAllSessions",
        summary="End all sessions",
        description="Ends every session, including the current one. Personal tokens stay.",
        security=BEARER,
        response_description="All sessions have ended.",
        responses=problems(401, 429, 503),
    )
    async def end_all_sessions(self, request: AuthenticatedRequest, sessions: NamedDependency[SessionService]) -> None:
        """Answer `DELETE /auth/sessions`."""
        await sessions.end_all(request.user.user_id)
