"""`litestar backup` and `litestar restore`: copies of a SQLite database."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import click
from litestar.plugins import CLIPlugin

from app.commands.progress import showing_progress
from app.database.backup import BackupError, back_up, draft_of, restore
from app.database.engines import Database
from app.database.sqlite_lock import sole_user_of
from app.errors import ConfigurationError

_MIB = 1 << 20
_FILE = click.Path(dir_okay=False, path_type=Path)


class BackupCommands(CLIPlugin):
    """Adds `litestar backup`, which works beside a running service, and `litestar restore`, which refuses to."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def on_cli_init(self, cli: click.Group) -> None:
        """Add the commands."""

        @cli.command("backup", help="Write a copy of the SQLite database to FILE; the service may go on meanwhile.")
        @click.argument("file", type=_FILE)
        @click.option("--force", is_flag=True, help="Replace FILE if it is there.")
        def backup_command(file: Path, *, force: bool) -> None:
            with self._sqlite_file() as path, _showing_progress(path, file):
                back_up(path, file, force=force)
            click.echo(f"{path} is backed up to {file}")

        @cli.command("restore", help="Put the copy in FILE in the SQLite database's place; stop the service first.")
        @click.argument("file", type=_FILE)
        @click.option("--force", is_flag=True, help="Replace the database that is there.")
        def restore_command(file: Path, *, force: bool) -> None:
            with self._sqlite_file() as path, sole_user_of(self._database), _showing_progress(file, path):
                restore(file, path, force=force)
            click.echo(f"{path} is restored from {file}")

    @contextmanager
    def _sqlite_file(self) -> Iterator[Path]:
        try:
            if not self._database.is_sqlite:
                raise BackupError("this is for SQLite; for MySQL and MariaDB see docs/operations/backup.md")
            self._database.require_commands()
            yield self._database.file
        except (BackupError, ConfigurationError) as error:
            raise SystemExit(f"postline: {error}") from None


def _showing_progress(source: Path, target: Path) -> AbstractContextManager[None]:
    def describe() -> str:
        return f"{_size(draft_of(target)) // _MIB} of about {_size(source) // _MIB} MiB copied"

    return showing_progress(describe)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
