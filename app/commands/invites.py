"""`litestar invites`: who may sign up where `SIGN_UP=invite`."""

import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import TypeVar

import click
from litestar.plugins import CLIPlugin
from pydantic import TypeAdapter, ValidationError

from app.commands.asking import ask
from app.commands.operator import operator_name
from app.commands.tables import format_time, print_table, to_json
from app.database.engines import Database
from app.ports.unit_of_work import Transactions
from app.services.invitations import InvitationService
from app.storage.invitations import InvitationQueries, IssuedInvitation
from models import SignUpPolicy
from models.columns import now
from models.user import Email

_Answer = TypeVar("_Answer")

_HEADS = ("INVITATION", "FOR", "STATE", "EXPIRES", "CREATED", "BY", "USED", "BY", "REVOKED", "BY")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_MAX_LIFETIME = timedelta(days=366)

_NOTES = {
    SignUpPolicy.OPEN: "note: SIGN_UP is open here, so anybody can sign up without an invitation",
    SignUpPolicy.CLOSED: "note: SIGN_UP is closed here, so nobody can sign up, invited or not",
}

_as_json = click.option("--json", "as_json", is_flag=True, help="Print a JSON list of objects.")
_email = TypeAdapter(Email)


def _lifetime(_context: click.Context, _parameter: click.Parameter, value: str) -> timedelta:
    found = re.fullmatch(r"([0-9]{1,6})([mhd])", value)
    lifetime = timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else timedelta(0)
    if not timedelta(0) < lifetime <= _MAX_LIFETIME:
        raise click.BadParameter("takes a time such as 90m, 12h or 7d, of 366d at most")
    return lifetime


class InviteCommands(CLIPlugin):
    """Adds `litestar invites`. The commands work beside a running service, and are in force when they return.

    Nothing has to be waited for: each sign-up reads its invitation from the database.
    """

    def __init__(
        self,
        database: Database,
        transactions: Transactions,
        *,
        public_url: str | None,
        sign_up_policy: SignUpPolicy,
    ) -> None:
        self._database = database
        self._public_url = public_url
        self._sign_up_policy = sign_up_policy
        self._queries = InvitationQueries(database)
        self._service = InvitationService(transactions, operator=operator_name())

    def on_cli_init(self, cli: click.Group) -> None:
        """Add the commands."""

        @cli.group(help="Invite people to sign up, where SIGN_UP=invite.")
        def invites() -> None: ...

        @invites.command(help="Create an invitation, and print its code. Nothing shows the code again.")
        @click.option("--email", help="The address that it is for. Without one, it is for anybody who has the code.")
        @click.option(
            "--expires-in",
            callback=_lifetime,
            default="7d",
            show_default=True,
            help="How long it is good, in minutes, hours or days: 90m, 12h, 7d.",
        )
        @_as_json
        def create(email: str | None, expires_in: timedelta, *, as_json: bool) -> None:
            self._create(email, expires_in, as_json=as_json)

        @invites.command("list", help="List the invitations, oldest first, until a month after they have expired.")
        @_as_json
        def list_invites(*, as_json: bool) -> None:
            _print(self._run(self._queries.all), as_json=as_json)

        @invites.command(help="Revoke an unused invitation, named by its code or by its id.")
        @click.argument("invitation")
        @_as_json
        def revoke(invitation: str, *, as_json: bool) -> None:
            async def act() -> IssuedInvitation:
                await self._service.revoke((await self._find(invitation)).invitation.id)
                return await self._find(invitation)

            _print([self._run(act)], as_json=as_json)

    def _create(self, email: str | None, lifetime: timedelta, *, as_json: bool) -> None:
        try:
            address = None if email is None else _email.validate_python(email)
        except ValidationError as error:
            reason = error.errors(include_input=False, include_url=False)[0]["msg"].removeprefix("Value error, ")
            raise SystemExit(f"postline: email: {reason}") from None

        async def add() -> tuple[str, IssuedInvitation]:
            invitation_id, code = await self._service.create(address, lifetime)
            return code, await self._find(str(invitation_id))

        code, created = self._run(add)
        link = None if self._public_url is None else f"{self._public_url}/#invite={code}"
        if as_json:
            click.echo(to_json([{"code": code, "link": link} | _fields(created)]))
        else:
            heads = ("CODE", "FOR", "EXPIRES", "INVITATION", "LINK")
            invitation = created.invitation
            expires_at = format_time(invitation.expires_at)
            print_table(heads, [(code, invitation.email or "anybody", expires_at, invitation.id, link or "")])
        if self._sign_up_policy in _NOTES:
            click.echo(_NOTES[self._sign_up_policy], err=True)

    async def _find(self, code_or_id: str) -> IssuedInvitation:
        found = await self._queries.find(code_or_id)
        if found is None:
            raise SystemExit("postline: no invitation has this code or id")
        return found

    def _run(self, work: Callable[[], Awaitable[_Answer]]) -> _Answer:
        return ask(self._database, work)


def _print(invitations: Sequence[IssuedInvitation], *, as_json: bool) -> None:
    if as_json:
        click.echo(to_json([_fields(one) for one in invitations]))
        return
    rows = [
        (
            invitation.id,
            invitation.email or "anybody",
            invitation.state(now()),
            format_time(invitation.expires_at),
            format_time(invitation.created_at),
            created_by or "",
            format_time(invitation.used_at),
            used_by or "",
            format_time(invitation.revoked_at),
            revoked_by or "",
        )
        for invitation, created_by, revoked_by, used_by in invitations
    ]
    print_table(_HEADS, rows)


def _fields(issued: IssuedInvitation) -> dict[str, object]:
    invitation, created_by, revoked_by, used_by = issued
    return {
        "id": invitation.id,
        "email": invitation.email,
        "state": invitation.state(now()),
        "expires_at": invitation.expires_at,
        "created_at": invitation.created_at,
        "created_by": created_by,
        "used_at": invitation.used_at,
        "used_by": used_by,
        "revoked_at": invitation.revoked_at,
        "revoked_by": revoked_by,
    }
