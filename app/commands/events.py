"""`litestar events`: the operator's view of durable delivery."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TypeVar
from uuid import UUID

import click
from litestar.plugins import CLIPlugin

from app.database.engines import Database
from app.database.faults import FAULTS, reason
from app.delivery.outbox_inspection import OutboxInspection

_Answer = TypeVar("_Answer")


class EventCommands(CLIPlugin):
    """Adds `litestar events status`, `dead` and `replay`; they work beside a running service."""

    def __init__(self, database: Database, inspection: OutboxInspection) -> None:
        self._database = database
        self._inspection = inspection

    def on_cli_init(self, cli: click.Group) -> None:
        """Add the commands."""
        inspection = self._inspection

        @cli.group(help="Show the backlogs of durable listeners, and replay events.")
        def events() -> None: ...

        @events.command(help="Show the backlog of each durable listener.")
        def status() -> None:
            rows = [
                (one.listener, one.behind, one.events, _time(one.since), one.failing, one.error, one.dead)
                for one in self._answer(inspection.status)
            ]
            heads = ("LISTENER", "USERS BEHIND", "EVENTS", "SINCE", "USERS FAILING", "ERROR", "DEAD LETTERS")
            _print_table(heads, rows)

        @events.command(help="Show the dead letters: events that a listener failed on too often.")
        def dead() -> None:
            rows = [
                (letter.listener, letter.user_id, letter.version, type_, letter.error, _time(letter.given_up_at))
                for letter, type_ in self._answer(inspection.dead_letters)
            ]
            _print_table(("LISTENER", "USER", "VERSION", "EVENT", "ERROR", "GIVEN UP"), rows)

        @events.command(
            help="Replay the dead letters of LISTENER, and in order what followed. The running service delivers them."
        )
        @click.argument("listener", type=click.Choice(sorted(inspection.listeners)))
        @click.option("--all", "everything", is_flag=True, help="Replay every kept event, not only dead letters.")
        @click.option("--user", type=click.UUID, help="With --all: only this user's.")
        def replay(listener: str, *, everything: bool, user: UUID | None) -> None:
            if user is not None and not everything:
                raise click.UsageError("--user goes with --all")
            if everything:
                count = self._answer(lambda: inspection.replay_all(listener, user))
            else:
                count = self._answer(lambda: inspection.replay_dead_letters(listener))
            click.echo(f"{count} users' events will be delivered to {listener} again")

    def _answer(self, question: Callable[[], Awaitable[_Answer]]) -> _Answer:
        async def ask() -> _Answer:
            try:
                return await question()
            finally:
                await self._database.close()

        try:
            return asyncio.run(ask())
        except FAULTS as error:
            raise SystemExit(f"postline: the database can't be used: {reason(error)}") from None


def _time(value: datetime | None) -> str:
    return "" if value is None else f"{value:%Y-%m-%dT%H:%M:%SZ}"


def _print_table(heads: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> None:
    lines = [heads, *(tuple(str(cell) for cell in row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
