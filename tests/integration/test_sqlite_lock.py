"""The lock that lets one process serve a SQLite file."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from app.database.backup import BackupError, back_up
from app.database.engines import Database
from app.database.sqlite_lock import lock_for_server, sole_user_of
from app.errors import ConfigurationError
from tests.conftest import sqlite_url


def symbolic_link(path: Path, name: Path) -> str:
    name.symlink_to(path)
    return str(name)


def link_to_a_link(path: Path, name: Path) -> str:
    between = name.with_name("between.db")
    between.symlink_to(path)
    name.symlink_to(between)
    return str(name)


def hard_link(path: Path, name: Path) -> str:
    name.hardlink_to(path)
    return str(name)


def linked_folder(path: Path, name: Path) -> str:
    name.symlink_to(path.parent)
    return str(name / path.name)


def detour(path: Path, name: Path) -> str:
    return f"{name.parent}/../{path.parent.name}/{path.name}"


def relative(path: Path, _: Path) -> str:
    return os.path.relpath(path)


NAMES = [symbolic_link, link_to_a_link, hard_link, linked_folder, detour, relative]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    path = tmp_path / "first" / "postline.db"
    path.touch()
    return path


def database_at(name: Path | str) -> Database:
    return Database(sqlite_url(Path(name)), pool_size=1)


@pytest.mark.parametrize("link", NAMES)
def test_one_process_has_the_file_whatever_it_is_called(
    path: Path, tmp_path: Path, link: Callable[[Path, Path], str]
) -> None:
    other = database_at(link(path, tmp_path / "second" / "other.db"))

    with (
        sole_user_of(database_at(path)) if link is not hard_link else lock_beside(path),
        pytest.raises(ConfigurationError, match=r"another process serves|hard links"),
        sole_user_of(other),
    ):
        pass

    if link is not hard_link:
        with sole_user_of(other):
            pass


def lock_beside(path: Path) -> FileLock:
    return FileLock(f"{path}.lock")


def test_a_file_with_a_hard_link_is_not_copied_without_its_last_changes(path: Path, tmp_path: Path) -> None:
    (tmp_path / "second" / "other.db").hardlink_to(path)

    with pytest.raises(BackupError, match="hard links"):
        back_up(tmp_path / "second" / "other.db", tmp_path / "copy.db")


def test_the_server_takes_over_the_lock_that_was_taken_before_it_started(path: Path) -> None:
    lock_for_server(database_at(path))
    with (
        sole_user_of(database_at(path)),
        pytest.raises(ConfigurationError, match="another process"),
        sole_user_of(database_at(path)),
    ):
        pass
    with sole_user_of(database_at(path)):
        pass
