"""`litestar mail`: the operator's view of the mails that wait."""

import json

import click
from litestar.plugins import CLIPlugin

from app.commands.asking import ask
from app.commands.tables import format_time, print_table
from app.database.engines import Database
from app.delivery.mail_queue import MailQueue

_HEADS = ("PURPOSE", "WAITING", "SINCE", "FAILING", "ERROR", "GIVEN UP")


class MailCommands(CLIPlugin):
    """Adds `litestar mail status`, which works beside a running service."""

    def __init__(self, database: Database, queue: MailQueue) -> None:
        self._database = database
        self._queue = queue

    def on_cli_init(self, cli: click.Group) -> None:
        """Add the commands."""

        @cli.group(help="Show the mails that wait to be sent.")
        def mail() -> None: ...

        @mail.command(help="Show how many mails wait, fail, and were given up in the last week.")
        @click.option("--json", "as_json", is_flag=True, help="Print a JSON list of objects.")
        def status(*, as_json: bool) -> None:
            found = ask(self._database, self._queue.status)
            if as_json:
                click.echo(json.dumps([one._asdict() | {"since": format_time(one.since) or None} for one in found]))
                return
            rows = [
                (one.purpose, one.waiting, format_time(one.since), one.failing, one.error, one.given_up)
                for one in found
            ]
            print_table(_HEADS, rows)
