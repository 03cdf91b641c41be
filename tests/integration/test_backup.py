"""What a copy of a SQLite database may be, and what may be put in a database's place."""

import asyncio
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from sqlalchemy import make_url

from app.commands.backup import BackupCommands
from app.database import schema
from app.database.backup import BackupError, back_up, restore
from app.database.engines import Database
from tests.conftest import sqlite_url


@pytest.fixture
def database(migrated_sqlite: Path, tmp_path: Path) -> Path:
    path = tmp_path / "data" / "postline.db"
    path.parent.mkdir()
    shutil.copy(migrated_sqlite, path)
    with changing(path) as connection:
        connection.execute(
            "INSERT INTO users (id, email, password_hash, password_version, created_at, timeline_version) "
            "VALUES (x'00', 'ada@example.com', '', 1, '2026-01-01', 1)"
        )
    return path


@contextmanager
def changing(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def version_in(path: Path) -> int:
    with changing(path) as connection:
        version: int = connection.execute("SELECT timeline_version FROM users").fetchone()[0]
    return version


def test_a_copy_has_what_was_committed_when_it_was_made(database: Path, tmp_path: Path) -> None:
    with changing(database) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("UPDATE users SET timeline_version = 41")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE users SET timeline_version = 42")
        back_up(database, tmp_path / "copies" / "copy.db")
        writer.execute("COMMIT")

    assert (version_in(tmp_path / "copies" / "copy.db"), version_in(database)) == (41, 42)


def test_only_its_owner_may_read_a_copy(database: Path, tmp_path: Path) -> None:
    back_up(database, tmp_path / "copy.db")

    assert (tmp_path / "copy.db").stat().st_mode & 0o777 == 0o600


def test_nothing_is_replaced_unless_that_is_asked_for(database: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    back_up(database, copy)

    with pytest.raises(BackupError, match="--force"):
        back_up(database, copy)
    with pytest.raises(BackupError, match="--force"):
        restore(copy, database)
    back_up(database, copy, force=True)
    restore(copy, database, force=True)


@pytest.mark.parametrize("link", [None, Path.symlink_to, Path.hardlink_to], ids=["itself", "a link", "a hard link"])
def test_a_database_is_no_copy_of_itself(
    database: Path, tmp_path: Path, link: Callable[[Path, Path], None] | None
) -> None:
    path = database
    if link is not None:
        link(path := tmp_path / "copy.db", database)

    with pytest.raises(BackupError, match="is the database itself"):
        back_up(database, path, force=True)
    with pytest.raises(BackupError, match="is the database itself"):
        restore(path, database, force=True)

    assert path.samefile(database)


def leave_changes_in_the_log_of(database: Path) -> None:
    """Set the version to 42, and leave the files as a process does that is killed."""
    with changing(database) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("UPDATE users SET timeline_version = 42")
        killed = {path: path.read_bytes() for path in database.parent.iterdir()}
    for path, content in killed.items():
        path.write_bytes(content)
    assert database.with_name("postline.db-wal") in killed


def test_a_copy_takes_the_place_of_a_database_and_of_its_log(database: Path, tmp_path: Path) -> None:
    back_up(database, tmp_path / "copy.db")
    leave_changes_in_the_log_of(database)

    restore(tmp_path / "copy.db", database, force=True)

    assert version_in(database) == 1
    assert [path.name for path in database.parent.iterdir()] == ["postline.db"]


def test_a_database_that_could_not_be_replaced_has_lost_nothing(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(database, tmp_path / "copy.db")
    leave_changes_in_the_log_of(database)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(BackupError, match="Permission denied"):
        restore(tmp_path / "copy.db", database, force=True)

    assert version_in(database) == 42


def test_a_damaged_database_is_replaced(database: Path, tmp_path: Path) -> None:
    back_up(database, tmp_path / "copy.db")
    no_database(database)

    restore(tmp_path / "copy.db", database, force=True)

    assert version_in(database) == 1


def test_a_database_that_somebody_reads_is_not_replaced(database: Path, tmp_path: Path) -> None:
    back_up(database, tmp_path / "copy.db")
    with changing(database) as reader, changing(database) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        reader.execute("BEGIN")
        reader.execute("SELECT timeline_version FROM users").fetchone()
        writer.execute("UPDATE users SET timeline_version = 42")

        with pytest.raises(BackupError, match="in use"):
            restore(tmp_path / "copy.db", database, force=True)

    assert version_in(database) == 42


def test_a_copy_is_restored_to_where_there_is_nothing(database: Path, tmp_path: Path) -> None:
    back_up(database, tmp_path / "copy.db")

    restore(tmp_path / "copy.db", tmp_path / "elsewhere" / "postline.db")

    assert version_in(tmp_path / "elsewhere" / "postline.db") == 1


def missing(_: Path) -> None:
    pass


def no_database(path: Path) -> None:
    path.write_text("no database" * 1000)


def of_another_service(path: Path) -> None:
    with changing(path) as connection:
        connection.execute("CREATE TABLE notes (text)")


def of_a_later_version(path: Path) -> None:
    with changing(path) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num)")
        connection.execute("INSERT INTO alembic_version VALUES ('later')")


def without_sessions(path: Path) -> None:
    template = path.with_name("template.db")
    asyncio.run(migrate(template))
    with changing(template) as connection:
        connection.execute("DROP TABLE sessions")
    template.rename(path)


def without_a_column(path: Path) -> None:
    template = path.with_name("template.db")
    asyncio.run(migrate(template))
    with changing(template) as connection:
        connection.execute("ALTER TABLE posts DROP COLUMN text")
    template.rename(path)


def without_a_revision(path: Path) -> None:
    with changing(path) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num)")


def without_anything(path: Path) -> None:
    path.touch()


async def migrate(path: Path) -> None:
    database = Database(sqlite_url(path), pool_size=1)
    await schema.upgrade(database)
    await database.close()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (Path.mkdir, "there is no file"),
        (without_anything, "no database of this service"),
        (without_a_revision, "never migrated"),
        (without_sessions, r"incomplete: it has no sessions\.created_at"),
        (without_a_column, r"incomplete: it has no posts\.text"),
        (missing, "there is no file"),
        (no_database, "no database of this service"),
        (of_another_service, "no database of this service"),
        (of_a_later_version, "of a version that this one does not know"),
    ],
)
def test_what_is_no_copy_is_refused_and_nothing_is_changed(
    database: Path, tmp_path: Path, make: Callable[[Path], None], reason: str
) -> None:
    make(tmp_path / "copy.db")
    before = database.read_bytes()

    with pytest.raises(BackupError, match=reason):
        restore(tmp_path / "copy.db", database, force=True)

    assert database.read_bytes() == before
    assert [path.name for path in database.parent.iterdir()] == ["postline.db"]


def test_a_damaged_copy_is_refused(database: Path, tmp_path: Path) -> None:
    content = database.read_bytes()
    (tmp_path / "copy.db").write_bytes(content[: len(content) // 2])

    with pytest.raises(BackupError):
        restore(tmp_path / "copy.db", database, force=True)

    assert database.read_bytes() == content


def test_a_copy_of_an_earlier_version_is_complete_as_it_is(database: Path, tmp_path: Path) -> None:
    with changing(database) as connection:
        connection.execute("CREATE TABLE shared_epoch (id, epoch, server)")
        connection.execute("UPDATE alembic_version SET version_num = '2f8b6a01d9c4'")
    back_up(database, tmp_path / "copy.db")

    restore(tmp_path / "copy.db", database, force=True)


def test_a_database_of_a_later_version_can_be_backed_up(database: Path, tmp_path: Path) -> None:
    with changing(database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'later'")

    back_up(database, tmp_path / "copy.db")

    assert version_in(tmp_path / "copy.db") == 1


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_another_database_has_tools_of_its_own(command: str) -> None:
    cli = click.Group()
    BackupCommands(Database(make_url("mysql+asyncmy://root@127.0.0.1/backend"), pool_size=1)).on_cli_init(cli)

    result = CliRunner().invoke(cli, [command, "copy.db"])

    assert result.exit_code == 1
    assert "docs/operations/backup.md" in result.output
