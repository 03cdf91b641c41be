"""Litestar's JWT backend as this service uses it: who a request speaks for, and whether their session is alive."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.exceptions import NotAuthorizedException
from litestar.middleware.authentication import AuthenticationResult
from litestar.security.jwt import JWTAuth, JWTAuthenticationMiddleware, Token

from app.timeline import Timelines


@dataclass
class AccessToken(Token):
    """An access token: besides the registered claims (RFC 7519) it names its session."""

    sid: str = ""


@dataclass(slots=True)
class Principal:
    """Who a request speaks for.

    `timeline_version` is the version this request answers from: the one looked up when the request came in, or the
    newer one that it then read.
    """

    user_id: UUID
    session_id: UUID
    timeline_version: int


AuthenticatedRequest = Request[Principal, AccessToken, State]


class BearerMiddleware(JWTAuthenticationMiddleware):
    """Litestar's JWT middleware, for the scheme `Bearer` and no other (RFC 6750, section 2.1)."""

    async def authenticate_request(self, connection: ASGIConnection[Any, Any, Any, Any]) -> AuthenticationResult:
        """Return whom the request's token speaks for; a scheme's name has no case (RFC 9110, section 11.1)."""
        scheme, _, token = connection.headers.get(self.auth_header, "").partition(" ")
        if scheme.lower() != "bearer":
            raise NotAuthorizedException
        return await self.authenticate_token(token.strip(), connection)


class JWTAccessTokens:
    """The port `AccessTokens`."""

    def __init__(self, auth: JWTAuth[Principal, AccessToken]) -> None:
        self._auth = auth
        self.lifetime = int(auth.default_token_expiration.total_seconds())

    def draw(self, user_id: UUID, session_id: UUID) -> str:
        """See `AccessTokens.draw`."""
        return self._auth.create_token(str(user_id), token_unique_jwt_id=str(uuid4()), sid=str(session_id))


def create_jwt_auth(secret: str, lifetime: timedelta, timelines: Timelines) -> JWTAuth[Principal, AccessToken]:
    """Return the backend that guards every route without `exclude_from_auth`."""

    async def retrieve_principal(token: AccessToken, _: ASGIConnection[Any, Any, Any, Any]) -> Principal | None:
        try:
            user_id, session_id = UUID(token.sub), UUID(token.sid)
        except ValueError:
            return None
        version = await timelines.version(user_id, session_id)
        return None if version is None else Principal(user_id, session_id, version)

    return JWTAuth[Principal, AccessToken](
        token_secret=secret,
        token_cls=AccessToken,
        default_token_expiration=lifetime,
        retrieve_user_handler=retrieve_principal,
        authentication_middleware_class=BearerMiddleware,
        require_claims=["exp", "iat", "sub", "jti", "sid"],
        # HEAD and the like must not get around the guard; only a preflight request carries no token.
        exclude_http_methods=["OPTIONS"],
    )
