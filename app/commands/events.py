"""`litestar events`: the operator's view of durable delivery."""

from uuid import UUID

import click
from litestar.plugins import CLIPlugin

from app.commands.asking import ask
from app.commands.progress import showing_progress
from app.commands.tables import format_time, print_table
from app.database.engines import Database
from app.delivery.outbox_inspection import OutboxInspection


class EventCommands(CLIPlugin):
    """Adds `litestar events status`, `dead` and `replay`; they work beside a running service."""

    def __init__(self, database: Database, inspection: OutboxInspection) -> None:
        self._database = database
        self._inspection = inspection

    def on_cli_init(self, cli: click.Group) -> None:
        """Add the commands."""
        database, inspection = self._database, self._inspection

        @cli.group(help="Show the backlogs of durable listeners, and replay events.")
        def events() -> None: ...

        @events.command(help="Show the backlog of each durable listener.")
        def status() -> None:
            rows = [
                (one.listener, one.behind, one.events, format_time(one.since), one.failing, one.error, one.dead)
                for one in ask(database, inspection.status)
            ]
            heads = ("LISTENER", "USERS BEHIND", "EVENTS", "SINCE", "USERS FAILING", "ERROR", "DEAD LETTERS")
            print_table(heads, rows)

        @events.command(help="Show the dead letters: events that a listener failed on too often.")
        def dead() -> None:
            rows = [
                (letter.listener, letter.user_id, letter.version, type_, letter.error, format_time(letter.given_up_at))
                for letter, type_ in ask(database, inspection.dead_letters)
            ]
            print_table(("LISTENER", "USER", "VERSION", "EVENT", "ERROR", "GIVEN UP"), rows)

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
                with showing_progress(lambda: f"the events of {inspection.replayed} users so far"):
                    count = ask(database, lambda: inspection.replay_all(listener, user))
            else:
                count = ask(database, lambda: inspection.replay_dead_letters(listener))
            click.echo(f"{count} users' events will be delivered to {listener} again")
