"""`litestar version` and `litestar info`: what runs here, and where its contract is."""

import click
from litestar import __version__ as litestar_version
from litestar.plugins import CLIPlugin

from app import __version__
from app.database.engines import Database


class AboutCommands(CLIPlugin):
    """Makes Litestar's own commands tell of this service."""

    def __init__(self, database: Database, environment: str) -> None:
        self._database = database
        self._environment = environment

    def on_cli_init(self, cli: click.Group) -> None:
        """Replace the commands."""
        facts = {
            "Postline": __version__,
            "Litestar": litestar_version.formatted(short=True),
            "Environment": self._environment,
            "Database": self._database.url.render_as_string(hide_password=True),
            "API": "/docs, or /openapi.json for programs",
        }

        @cli.command("version", help="Show the version of Postline, and of Litestar under it.")
        @click.option("-s", "--short", is_flag=True, help="Show Postline's alone.")
        def version_command(*, short: bool) -> None:
            click.echo(__version__ if short else f"Postline {__version__} (Litestar {facts['Litestar']})")

        @cli.command("info", help="Show versions, environment, database, and where the API's document is.")
        def info_command() -> None:
            for name, value in facts.items():
                click.echo(f"{name:<13}{value}")
