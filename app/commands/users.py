"""`litestar users`: what an operator does for, or against, one user."""

import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import click
from litestar.events import BaseEventEmitterBackend
from litestar.plugins import CLIPlugin
from pydantic import ValidationError

from app.commands.asking import ask, wait_until_in_force
from app.commands.operator import operator_name
from app.commands.tables import format_time, print_table, to_json
from app.database.engines import Database
from app.ports.mail import Links
from app.ports.security import Passwords
from app.ports.unit_of_work import Transactions
from app.quotas import QUOTAS, UNLIMITED, QuotaName, bound_of
from app.services.mails import Mails
from app.services.operators import OperatorService
from app.storage.accounts import Account, AccountQueries
from models import SignUp

_Answer = TypeVar("_Answer")

_USERS_PER_READ = 500
_HEADS = ("EMAIL", "USER", "SIGNED UP", "DISABLED", "POSTS", "BYTES", "SESSIONS", "WEBHOOKS", "TOKENS")

_as_json = click.option("--json", "as_json", is_flag=True, help="Print a JSON list of objects.")
_email = click.argument("email")


class UserCommands(CLIPlugin):
    """Adds `litestar users`. The commands work beside a running service, and are in force when they return."""

    def __init__(
        self,
        database: Database,
        transactions: Transactions,
        passwords: Passwords,
        *,
        links: Links,
        mails: Mails,
        public_url: str | None,
        emitter: Callable[[], BaseEventEmitterBackend],
    ) -> None:
        self._database = database
        self._emitter = emitter
        self._quotas = transactions.quotas
        self._public_url = public_url
        self._accounts = AccountQueries(database)
        self._operators = OperatorService(transactions, passwords, links, mails, operator=operator_name())

    def on_cli_init(self, cli: click.Group) -> None:
        """Add the commands."""
        operators = self._operators

        @cli.group(help="List users, and create, limit, disable, enable or delete one.")
        def users() -> None: ...

        @users.command("list", help="List all users in the order of their sign-up.")
        @_as_json
        def list_users(*, as_json: bool) -> None:
            self._print(self._run(self._all), as_json=as_json)

        @users.command(help="Create a user. The password is asked for, or read as a line from standard input.")
        @_email
        @_as_json
        def create(email: str, *, as_json: bool) -> None:
            try:
                form = SignUp(email=email, password=_password())
            except ValidationError as error:
                raise _invalid(error) from None

            async def add() -> Account:
                await operators.create(form)
                return await self._find(form.email)

            self._print([self._run(add)], as_json=as_json)

        @users.command("set-password", help="Set a new password, end every session, and revoke all personal tokens.")
        @_email
        @_as_json
        def set_password(email: str, *, as_json: bool) -> None:
            self._run(lambda: self._find(email))
            try:
                password = SignUp(email="operator@example.com", password=_password()).password
            except ValidationError as error:
                raise _invalid(error) from None
            self._change(email, lambda user_id: operators.set_password(user_id, password), as_json=as_json)

        @users.command(help="Refuse log-ins, and end the user's sessions, tokens, feeds and webhooks; posts stay.")
        @_email
        @_as_json
        def disable(email: str, *, as_json: bool) -> None:
            self._change(email, operators.disable, as_json=as_json)

        @users.command(help="Let a disabled user log in again.")
        @_email
        @_as_json
        def enable(email: str, *, as_json: bool) -> None:
            self._change(email, operators.enable, as_json=as_json)

        @users.command("end-sessions", help="End every session of the user, and revoke their personal tokens.")
        @_email
        @_as_json
        def end_sessions(email: str, *, as_json: bool) -> None:
            self._change(email, operators.end_sessions, as_json=as_json)

        @users.command(help="Delete the user and all they own, for good.")
        @_email
        @click.option("--yes", is_flag=True, help="Do not ask.")
        @_as_json
        def delete(email: str, *, yes: bool, as_json: bool) -> None:
            account = self._run(lambda: self._find(email))
            if not yes:
                click.confirm(f"Delete {account.email} with {account.posts} posts, for good?", abort=True, err=True)

            async def remove() -> None:
                await operators.delete(account.user_id)
                await wait_until_in_force(self._database)

            self._run(remove)
            self._print([account], as_json=as_json)

        self._add_show(users)
        self._add_reset_link(users)
        self._add_set_limits(users)

    def _add_show(self, users: click.Group) -> None:
        @users.command(help="Show one user, with their limits and what operators did to them.")
        @_email
        @_as_json
        def show(email: str, *, as_json: bool) -> None:
            async def read() -> tuple[Account, Sequence[tuple[datetime, str, str]]]:
                account = await self._find(email)
                return account, await self._accounts.actions(account.user_id)

            account, actions = self._run(read)
            if as_json:
                fields = ("at", "action", "operator")
                trail = [dict(zip(fields, action, strict=True)) for action in actions]
                click.echo(to_json([self._fields(account) | {"actions": trail}]))
                return
            self._print([account], as_json=False)
            click.echo()
            self._print_limits(account)
            if actions:
                click.echo()
                print_table(
                    ("WHEN", "ACTION", "OPERATOR"), [(format_time(at), action, by) for at, action, by in actions]
                )

    def _add_set_limits(self, users: click.Group) -> None:
        @users.command(
            "set-limits", help="Set how much one user may keep: a number each, `none`, or `default` for the settings'."
        )
        @_email
        @click.option("--posts", metavar="N|none|default", help="Posts.")
        @click.option("--bytes", metavar="N|none|default", help="UTF-8 bytes of the texts of all posts.")
        @click.option("--webhooks", metavar="N|none|default", help="Webhooks.")
        @_as_json
        def set_limits(email: str, *, as_json: bool, **given: str | None) -> None:
            limits: dict[QuotaName, int | None] = {
                quota: _bound(quota, written) for quota in QUOTAS if (written := given[quota]) is not None
            }
            if not limits:
                raise SystemExit("postline: say what to set: --posts, --bytes or --webhooks")
            self._change(email, lambda user_id: self._operators.set_limits(user_id, limits), as_json=as_json)

    def _add_reset_link(self, users: click.Group) -> None:
        @users.command("reset-link", help="Print a link with which the user chooses a new password, within an hour.")
        @_email
        @_as_json
        def reset_link(email: str, *, as_json: bool) -> None:
            if self._public_url is None:
                raise SystemExit("postline: PUBLIC_URL must be set: the link leads there")

            async def make() -> str:
                return await self._operators.reset_link((await self._find(email)).user_id)

            link = self._run(make)
            click.echo(to_json([{"link": link}]) if as_json else link)

    def _change(self, email: str, change: Callable[[UUID], Awaitable[None]], *, as_json: bool) -> None:
        async def act() -> Account:
            account = await self._find(email)
            await change(account.user_id)
            await wait_until_in_force(self._database)
            return await self._find(email)

        self._print([self._run(act)], as_json=as_json)

    def _print(self, accounts: Sequence[Account], *, as_json: bool) -> None:
        if as_json:
            click.echo(to_json([self._fields(account) for account in accounts]))
            return
        rows = [
            (
                account.email,
                account.user_id,
                format_time(account.created_at),
                format_time(account.disabled_at),
                account.posts,
                account.bytes,
                account.sessions,
                account.webhooks,
                account.tokens,
            )
            for account in accounts
        ]
        print_table(_HEADS, rows)

    def _fields(self, account: Account) -> dict[str, Any]:
        fields = account._asdict()
        own = {quota: fields.pop(f"max_{quota}") for quota in QUOTAS}
        usual = self._quotas.usual
        limits = {
            quota: {"limit": bound_of(own[quota], usual[quota]), "is_default": own[quota] is None} for quota in QUOTAS
        }
        return fields | {"limits": limits}

    def _print_limits(self, account: Account) -> None:
        fields = self._fields(account)
        rows = [
            (
                quota,
                fields[quota],
                "none" if limit["limit"] is None else limit["limit"],
                "settings" if limit["is_default"] else "operator",
            )
            for quota, limit in fields["limits"].items()
        ]
        print_table(("QUOTA", "USED", "LIMIT", "SET BY"), rows)

    async def _find(self, email: str) -> Account:
        account = await self._accounts.find(email)
        if account is None:
            raise SystemExit("postline: no user has this address")
        return account

    async def _all(self) -> list[Account]:
        found: list[Account] = []
        while page := await self._accounts.list(_USERS_PER_READ, found[-1].user_id if found else None):
            found += page
        return found

    def _run(self, work: Callable[[], Awaitable[_Answer]]) -> _Answer:
        return ask(self._database, lambda: self._while_listeners_hear(work))

    async def _while_listeners_hear(self, work: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """Do the work, then wait for the listeners of its events: they end with this process."""
        emitter = self._emitter()
        await emitter.__aenter__()
        try:
            return await work()
        finally:
            # Not by `async with`, which would hand the emitter's task group an error that it wraps in a group.
            await emitter.__aexit__(None, None, None)


def _password() -> str:
    """Ask for a password twice on a terminal; elsewhere read a line, so that none is an argument others can see."""
    if sys.stdin.isatty():
        password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        return password
    return sys.stdin.readline().rstrip("\n")


def _invalid(error: ValidationError) -> SystemExit:
    first = error.errors(include_input=False, include_url=False)[0]
    return SystemExit(f"postline: {first['loc'][-1]}: {first['msg'].removeprefix('Value error, ')}")


def _bound(quota: QuotaName, written: str) -> int | None:
    """Return the bound that an operator wrote, as it is stored."""
    if written == "default":
        return None
    if written == "none":
        return UNLIMITED
    if not (written.isascii() and written.isdigit()) or int(written) >= UNLIMITED:
        raise SystemExit(f"postline: --{quota} takes a number, none or default")
    return int(written)
