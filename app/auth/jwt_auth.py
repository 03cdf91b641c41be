"""Litestar's JWT backend, with a session behind each token: a token is valid while its session is alive.

Personal tokens, which are no JWTs, are told by their prefix and verified beside them.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any, cast
from uuid import UUID, uuid4

import jwt
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.exceptions import NotAuthorizedException
from litestar.middleware.authentication import AuthenticationResult
from litestar.security.jwt import JWTAuth, JWTAuthenticationMiddleware, Token
from typing_extensions import override

from app.auth.keys import Keyring, key_id
from app.auth.personal_tokens import PREFIX, PersonalTokens
from app.auth.scopes import require_scope
from app.auth.verified_tokens import VerifiedTokens
from app.errors import SessionEnd, Unauthenticated
from app.http.headers import header
from app.ports.security import AccessTokens, Principal
from app.ports.timelines import Timelines

_CLOCK_TOLERANCE = timedelta(seconds=30)

PUBLIC = {"exclude_from_auth": True}
"""The `opt` of a handler that answers without a token."""


@dataclass
class AccessToken(Token):
    """An access token: besides the registered claims (RFC 7519) it names its session, and in its header its key."""

    sid: str = ""

    def encode(self, secret: str, algorithm: str) -> str:
        """Return the signed token."""
        # A token from the future is refused. Without tolerance, so would a new one be on a node whose clock is behind.
        issued_at = self.iat - _CLOCK_TOLERANCE
        claims = {"sub": self.sub, "sid": self.sid, "jti": self.jti, "iat": issued_at, "exp": self.exp}
        return jwt.encode(claims, secret, algorithm, headers={"kid": key_id(secret)})


AuthenticatedRequest = Request[Principal, AccessToken | None, State]


class PrincipalFinder:
    """Authenticates requests on routes that need no authentication but use it if it is there.

    A personal token counts for nothing there.
    """

    def __init__(self, auth: JWTAuth[Principal, AccessToken], timelines: Timelines) -> None:
        self._auth = auth
        self._timelines = timelines

    async def find(self, authorization: str | None) -> Principal | None:
        """Return the principal, or `None` if the header is missing or its token not valid."""
        try:
            token = self._auth.token_cls.decode(
                _bearer_token(authorization or ""),
                self._auth.token_secret,
                self._auth.algorithm,
                require_claims=self._auth.require_claims,
            )
        except NotAuthorizedException:
            return None
        return await _principal_of(cast("AccessToken", token), self._timelines)


class JWTAccessTokens(AccessTokens):
    """Issues JWTs with Litestar's backend."""

    def __init__(self, auth: JWTAuth[Principal, AccessToken]) -> None:
        self._auth = auth

    @property
    @override
    def lifetime(self) -> int:
        return int(self._auth.default_token_expiration.total_seconds())

    @override
    def issue(self, user_id: UUID, session_id: UUID) -> str:
        return self._auth.create_token(str(user_id), token_unique_jwt_id=str(uuid4()), sid=str(session_id))


def create_jwt_auth(
    keyring: Keyring,
    lifetime: timedelta,
    timelines: Timelines,
    personal_tokens: PersonalTokens,
    session_end: Callable[[UUID], Awaitable[SessionEnd]],
) -> JWTAuth[Principal, AccessToken]:
    """Return the backend that authenticates every route without `exclude_from_auth`.

    `session_end` says what ended a session of a user. It is asked only about sessions that are over.
    """
    verified = VerifiedTokens[AccessToken]()

    @dataclass
    class KeyedToken(AccessToken):
        @classmethod
        def decode(cls, encoded_token: str, *args: Any, **options: Any) -> Any:
            token = verified.get(encoded_token)
            if token is None:
                token = super().decode(encoded_token, *args, **options)
                verified.add(encoded_token, token)
            return token

        @classmethod
        def decode_payload(cls, encoded_token: str, secret: str, *args: Any, **options: Any) -> Any:  # noqa: ARG003
            return super().decode_payload(encoded_token, keyring.secret_of(encoded_token), *args, **options)

    class BearerMiddleware(JWTAuthenticationMiddleware):
        """Litestar's JWT middleware, for the scheme `Bearer` and no other (RFC 6750, section 2.1)."""

        async def authenticate_request(self, connection: ASGIConnection[Any, Any, Any, Any]) -> AuthenticationResult:
            token = _bearer_token(header(connection.scope, "authorization") or "")
            if not token.startswith(PREFIX):
                return await self.authenticate_token(token, connection)
            found = await personal_tokens.verify(token)
            if found is None:
                raise NotAuthorizedException
            principal, scopes = found
            require_scope(connection.route_handler.opt, scopes)
            return AuthenticationResult(user=principal, auth=None)

    async def retrieve_principal(token: AccessToken, _: ASGIConnection[Any, Any, Any, Any]) -> Principal | None:
        principal = await _principal_of(token, timelines)
        if principal is None and (user_id := _id(token.sub)) is not None:
            raise Unauthenticated("The session is over. Log in again.", reason=await session_end(user_id))
        return principal

    return JWTAuth[Principal, AccessToken](
        token_secret=keyring.current,
        token_cls=KeyedToken,
        default_token_expiration=lifetime,
        retrieve_user_handler=retrieve_principal,
        authentication_middleware_class=BearerMiddleware,
        require_claims=["exp", "iat", "sub", "jti", "sid"],
        # Every method is authenticated, except OPTIONS: a preflight request carries no token.
        exclude_http_methods=["OPTIONS"],
    )


def _bearer_token(authorization: str) -> str:
    scheme, _, token = authorization.partition(" ")
    # A scheme's name has no case (RFC 9110, section 11.1).
    if scheme.lower() != "bearer":
        raise NotAuthorizedException
    return token.strip()


# The same tokens come again and again, with the same ids.
@lru_cache(maxsize=65_536)
def _id(claim: str) -> UUID | None:
    try:
        return UUID(claim)
    except ValueError:
        return None


async def _principal_of(token: AccessToken, timelines: Timelines) -> Principal | None:
    user_id, session_id = _id(token.sub), _id(token.sid)
    if user_id is None or session_id is None:
        return None
    version = await timelines.version(user_id, session_id)
    return None if version is None else Principal(user_id, session_id, version)
