"""`litestar posts`: one user's export, and the import of one."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import click
from litestar.plugins import CLIPlugin

from app.commands.asking import ask, wait_until_in_force
from app.commands.operator import operator_name
from app.commands.progress import bar, showing_progress
from app.database.engines import Database
from app.errors import DomainError
from app.ports.unit_of_work import Transactions
from app.services.imports import ImportService
from app.services.operators import record_action
from app.storage.accounts import Account, AccountQueries
from app.storage.exports import ExportQueries
from models import Action

_Answer = TypeVar("_Answer")

_STANDARD_STREAM = "-"
_PIECE_BYTES = 256 * 1024

_as_json = click.option("--json", "as_json", is_flag=True, help="Print a JSON list of objects.")
_email = click.argument("email")


@dataclass
class _Progress:
    """How far a command is, and how far it goes, if that is known: in posts or in bytes."""

    unit: str
    done: int = 0
    total: int | None = None

    def describe(self) -> str:
        return bar(self.done, self.total, self.unit)


class PostCommands(CLIPlugin):
    """Adds `litestar posts export` and `import`. They work beside a running service, which shows the posts at once."""

    def __init__(
        self, database: Database, transactions: Transactions, exports: ExportQueries, imports: ImportService
    ) -> None:
        self._database = database
        self._transactions = transactions
        self._exports = exports
        self._imports = imports
        self._accounts = AccountQueries(database)

    def on_cli_init(self, cli: click.Group) -> None:
        """Add the commands."""

        @cli.group(help="Export and import the posts of one user.")
        def posts() -> None: ...

        @posts.command("export", help="Write everything about the user to FILE, as GET /me/export does; - is stdout.")
        @_email
        @click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
        @_as_json
        def export_posts(email: str, file: str, *, as_json: bool) -> None:
            if file == _STANDARD_STREAM and as_json:
                raise click.UsageError("--json needs a FILE: the export itself goes to the standard output")
            progress = _Progress("posts")
            with showing_progress(progress.describe), _told_of(file), _written(file) as out:
                account = self._run(lambda: self._export(email, file, out, progress))
            told = {"email": account.email, "posts": account.posts, "file": file}
            if as_json:
                click.echo(json.dumps([told]))
            else:
                click.echo(f"{account.posts} posts of {account.email} are exported", err=file == _STANDARD_STREAM)

        @posts.command("import", help="Add the posts of the export in FILE to the user, as POST /me/import does.")
        @_email
        @click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
        @_as_json
        def import_posts(email: str, file: str, *, as_json: bool) -> None:
            progress = _Progress("bytes")
            with showing_progress(progress.describe), _told_of(file), _read(file, progress) as source:
                told = self._run(lambda: self._import(email, file, source, progress))
            if as_json:
                click.echo(json.dumps([told]))
            else:
                click.echo(f"{told['created']} posts are imported, {told['skipped']} were there already")

    async def _export(self, email: str, file: str, out: BinaryIO, progress: _Progress) -> Account:
        account = await self._find(email)
        progress.total = account.posts
        await self._record(account, Action.POSTS_EXPORTED)
        async with aclosing(self._exports.encoded(account.user_id)) as lines:
            async for line in lines:
                with _told_of(file):
                    out.write(line)
                progress.done = min(progress.done + 1, account.posts)
        return account

    async def _import(self, email: str, file: str, source: BinaryIO, progress: _Progress) -> dict[str, Any]:
        account = await self._find(email)
        await self._record(account, Action.POSTS_IMPORTED)
        pieces = _pieces(file, source, progress, is_sqlite=self._database.is_sqlite)
        try:
            done = await self._imports.run(account.user_id, pieces)
        except DomainError as error:
            raise SystemExit(
                f"postline: {error} {error.members['created']} posts were imported before, and stay."
            ) from None
        finally:
            await wait_until_in_force(self._database)
        return {"email": account.email, **done._asdict()}

    async def _find(self, email: str) -> Account:
        account = await self._accounts.find(email)
        if account is None:
            raise SystemExit("postline: no user has this address")
        return account

    async def _record(self, account: Account, action: Action) -> None:
        await self._transactions.run(record_action, account.user_id, action, operator_name())

    def _run(self, work: Callable[[], Awaitable[_Answer]]) -> _Answer:
        return ask(self._database, work)


async def _pieces(file: str, source: BinaryIO, progress: _Progress, *, is_sqlite: bool) -> AsyncIterator[bytes]:
    clock = asyncio.get_running_loop().time
    while True:
        with _told_of(file):
            # Nothing else runs in this event loop that reading could keep waiting.
            piece = source.read(_PIECE_BYTES)
        if not piece:
            return
        began = clock()
        yield piece
        progress.done += len(piece)
        if is_sqlite:
            # SQLite has no queue of writers: the service tries again and again, and must find the file free.
            await asyncio.sleep(clock() - began)


@contextmanager
def _read(file: str, progress: _Progress) -> Iterator[BinaryIO]:
    if file == _STANDARD_STREAM:
        yield sys.stdin.buffer
        return
    with Path(file).open("rb") as source:
        progress.total = os.fstat(source.fileno()).st_size
        yield source


@contextmanager
def _written(file: str) -> Iterator[BinaryIO]:
    """Yield what writes the file, which appears under its name when it is complete, readable by its owner only."""
    if file == _STANDARD_STREAM:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    part = Path(f"{file}.part")
    try:
        with open(part, "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _told_of(file: str) -> Iterator[None]:
    """Tell the operator in one line what is wrong with the file, so that it is not taken for the database's fault."""
    try:
        yield
    except BrokenPipeError:
        # The program that read the standard output has ended.
        raise SystemExit(1) from None
    except OSError as error:
        raise SystemExit(f"postline: {file}: {error.strerror}") from None
