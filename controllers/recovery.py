"""`/auth/password-reset` and `/me/email`: a new password, and a verified or another address, by links in mails."""

from typing import Any

from litestar import Controller, MediaType, Request, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from litestar.status_codes import HTTP_202_ACCEPTED, HTTP_204_NO_CONTENT

from app.auth.jwt_auth import PUBLIC, AuthenticatedRequest
from app.auth.rate_limits import client_of
from app.errors import EmailTaken, InvalidToken, MailNotConfigured
from app.services.recovery import RecoveryService
from controllers import auth, me
from controllers.auth import limit_requests
from controllers.documentation import BEARER, problems
from models import EmailChange, EmailConfirmation, PasswordReset, PasswordResetRequest

_ON_400 = (
    "The request has invalid fields, or the token is expired, used, superseded, forged, or for another purpose: "
    "`invalid-token` does not say which."
)


class PasswordResetController(Controller):
    """Sets a new password for who can read mail at the account's address."""

    path = "/auth/password-reset"
    tags = [auth.TAG.name]
    guards = [limit_requests]

    @post(
        operation_id="requestPasswordReset",
        summary="Ask for a new password",
        description=(
            "Mails a link for a new password, if an account has this address. The answer is the same, after the same "
            "time, whether one has it or not. The link is `PUBLIC_URL/#password-reset=TOKEN`; it is good once, for an "
            "hour."
        ),
        opt=PUBLIC,
        status_code=HTTP_202_ACCEPTED,
        media_type=MediaType.TEXT,
        response_description="If an account has this address, a mail is on its way.",
        responses=problems(400, 413, 415, 429, MailNotConfigured),
    )
    async def request_password(
        self,
        data: JSONBody[PasswordResetRequest],
        request: Request[Any, Any, Any],
        recovery: NamedDependency[RecoveryService],
    ) -> None:
        """Answer `POST /auth/password-reset`."""
        await recovery.request_password(data, client_of(request))

    @post(
        "/confirm",
        operation_id="confirmPasswordReset",
        summary="Set a new password with a mailed token",
        description="Replaces the password, ends every session and personal token, and verifies the address.",
        opt=PUBLIC,
        status_code=HTTP_204_NO_CONTENT,
        response_description="The password is replaced.",
        responses=problems(InvalidToken, 413, 415, 429, 503, on_400=_ON_400),
    )
    async def reset_password(
        self, data: JSONBody[PasswordReset], request: Request[Any, Any, Any], recovery: NamedDependency[RecoveryService]
    ) -> None:
        """Answer `POST /auth/password-reset/confirm`."""
        await recovery.reset_password(data, client_of(request))


class EmailController(Controller):
    """Verifies and changes the current user's address."""

    path = "/me/email"
    tags = [me.TAG.name]
    guards = [limit_requests]

    @post(
        operation_id="requestEmailChange",
        summary="Ask for another address",
        description=(
            "Mails a link to the new address that makes it the account's, and tells the old one. The link is "
            "`PUBLIC_URL/#confirm-email=TOKEN`; it is good once, for 24 hours. A new password voids it."
        ),
        security=BEARER,
        status_code=HTTP_202_ACCEPTED,
        media_type=MediaType.TEXT,
        response_description="A mail is on its way to the new address.",
        responses=problems(400, 401, 403, EmailTaken, 413, 415, 429, MailNotConfigured),
    )
    async def request_email(
        self,
        data: JSONBody[EmailChange],
        request: AuthenticatedRequest,
        recovery: NamedDependency[RecoveryService],
    ) -> None:
        """Answer `POST /me/email`."""
        await recovery.request_email(request.user, data)

    @post(
        "/confirm",
        operation_id="confirmEmail",
        summary="Confirm an address with a mailed token",
        description=(
            "Verifies the account's address, or replaces it by the new one, as the token says. The token is enough: no "
            "log-in is needed."
        ),
        opt=PUBLIC,
        status_code=HTTP_204_NO_CONTENT,
        response_description="The address is verified.",
        responses=problems(InvalidToken, EmailTaken, 413, 415, 429, 503, on_400=_ON_400),
    )
    async def confirm_email(
        self, data: JSONBody[EmailConfirmation], recovery: NamedDependency[RecoveryService]
    ) -> None:
        """Answer `POST /me/email/confirm`."""
        await recovery.confirm_email(data)

    @post(
        "/verification",
        operation_id="requestEmailVerification",
        summary="Ask for a mail that verifies the address",
        description=(
            "Mails a link that verifies the account's address, unless it is verified. The link is "
            "`PUBLIC_URL/#verify-email=TOKEN`; it is good once, for 24 hours."
        ),
        security=BEARER,
        status_code=HTTP_202_ACCEPTED,
        media_type=MediaType.TEXT,
        response_description="A mail is on its way, unless the address is verified.",
        responses=problems(401, 429, MailNotConfigured),
    )
    async def request_verification(
        self, request: AuthenticatedRequest, recovery: NamedDependency[RecoveryService]
    ) -> None:
        """Answer `POST /me/email/verification`."""
        await recovery.request_verification(request.user)
