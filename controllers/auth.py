"""`/auth`: in and out."""

from litestar import Controller, Request, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import JSONBody
from litestar.status_codes import HTTP_200_OK, HTTP_204_NO_CONTENT

from app.security import AuthenticatedRequest
from app.services.accounts import AccountService
from controllers.documentation import BEARER, problems
from models import LogIn, RefreshRequest, SignUp, TokenPair

_PUBLIC = {"exclude_from_auth": True}


class AuthController(Controller):
    """Sign-up, log-in, and what keeps or ends the session they open."""

    path = "/auth"
    tags = ["Authentication"]

    @post(
        "/signup",
        operation_id="signUp",
        summary="Make an account",
        description="Makes an account and opens its first session.",
        opt=_PUBLIC,
        responses=problems(400, 409, 413, 415, 503),
    )
    async def sign_up(
        self, data: JSONBody[SignUp], request: Request[None, None, State], accounts: NamedDependency[AccountService]
    ) -> TokenPair:
        """Answer `POST /auth/signup`."""
        return await accounts.sign_up(data, _user_agent(request))

    @post(
        "/login",
        operation_id="logIn",
        summary="Log in",
        description="Opens a session. An unknown address and a wrong password get the same answer, in the same time.",
        opt=_PUBLIC,
        status_code=HTTP_200_OK,
        responses=problems(400, 401, 413, 415, 503, on_401="The address is unknown or the password wrong."),
    )
    async def log_in(
        self, data: JSONBody[LogIn], request: Request[None, None, State], accounts: NamedDependency[AccountService]
    ) -> TokenPair:
        """Answer `POST /auth/login`."""
        return await accounts.log_in(data, _user_agent(request))

    @post(
        "/refresh",
        operation_id="refreshToken",
        summary="Exchange a refresh token",
        description="Answers with new tokens. The old refresh token is dead; using it again ends the session.",
        opt=_PUBLIC,
        status_code=HTTP_200_OK,
        responses=problems(
            400, 401, 413, 415, 503, on_401="The refresh token is unknown, expired or used, or its session has ended."
        ),
    )
    async def refresh(
        self,
        data: JSONBody[RefreshRequest],
        request: Request[None, None, State],
        accounts: NamedDependency[AccountService],
    ) -> TokenPair:
        """Answer `POST /auth/refresh`."""
        return await accounts.refresh(data.refresh_token, _user_agent(request))

    @post(
        "/logout",
        operation_id="logOut",
        summary="End this session",
        description="Ends the session of the token that the request carries.",
        security=BEARER,
        status_code=HTTP_204_NO_CONTENT,
        responses=problems(401, 503),
    )
    async def log_out(self, request: AuthenticatedRequest, accounts: NamedDependency[AccountService]) -> None:
        """Answer `POST /auth/logout`."""
        await accounts.log_out(request.user.user_id, request.user.session_id)


def _user_agent(request: Request[None, None, State]) -> str:
    return request.headers.get("user-agent", "")
