"""`litestar migrate`: the database's migrations, wherever the service is installed."""

import click
from litestar.plugins import CLIPlugin

from app.commands.asking import ask_unmigrated
from app.commands.tables import print_table, to_json
from app.database import schema
from app.database.engines import Database

_HEADS = ("REVISION", "APPLIED", "MIGRATION")


class MigrateCommands(CLIPlugin):
    """Adds `litestar migrate up`, `down` and `status`: Alembic, with the migrations that come with the service."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def on_cli_init(self, cli: click.Group) -> None:
        """Add the commands."""

        @cli.group(help="Migrate the database, or show what it lacks.")
        def migrate() -> None: ...

        @migrate.command(help="Apply every migration that the database lacks, or those up to REVISION.")
        @click.argument("revision", default="head")
        def up(*, revision: str) -> None:
            if revision == "head" and self._is_ahead():
                # The version before is deployed again, which begins as every deployment does.
                click.echo("The database is of a later version of the service, and lacks nothing that this one has.")
                return
            _alembic("upgrade", revision)

        @migrate.command(help="Undo the newest migration, or those after REVISION. What it added goes with its data.")
        @click.argument("revision", default="-1")
        @click.confirmation_option(prompt="What only these migrations' columns and tables hold is lost. Go on?")
        def down(*, revision: str) -> None:
            _alembic("downgrade", revision)

        @migrate.command(help="Show which migrations there are, the oldest first, and which of them the database has.")
        @click.option("--json", "as_json", is_flag=True, help="Print a JSON list of objects.")
        def status(*, as_json: bool) -> None:
            found = self._migrations()
            if as_json:
                click.echo(to_json([one._asdict() for one in found]))
                return
            rows = [
                (one.revision, "yes" if one.applied else "no", one.title or "of a later version of the service")
                for one in found
            ]
            print_table(_HEADS, rows)

    def _is_ahead(self) -> bool:
        return any(one.title is None for one in self._migrations())

    def _migrations(self) -> list[schema.Migration]:
        return ask_unmigrated(self._database, lambda: schema.migrations(self._database))


def _alembic(command: str, revision: str) -> None:
    from alembic.config import main  # noqa: PLC0415 - no other command needs it

    # A revision such as -1 would be taken for an option.
    main(["--config", str(schema.ALEMBIC_INI), command, "--", revision], prog="migrate")
