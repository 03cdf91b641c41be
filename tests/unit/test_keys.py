"""The secret that is generated once and kept in the data folder."""

import errno
import os
import re
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from threading import Timer
from typing import Any, NoReturn

import pytest

from app.auth import keys
from app.auth.keys import load_keyring
from app.errors import ConfigurationError
from app.settings import Settings


def secret_in(folder: Path) -> str:
    settings = Settings(_env_file=None, data_dir=folder, jwt_secret=None)  # pyright: ignore[reportCallIssue]
    return load_keyring(settings).current


def test_it_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    secret = secret_in(tmp_path / "data")

    assert re.fullmatch("[0-9a-f]{64}", secret)
    assert secret_in(tmp_path / "data") == secret
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["jwt_secret"]
    assert (tmp_path / "data" / "jwt_secret").stat().st_mode & 0o777 == 0o600


def test_beside_a_database_in_memory_it_is_in_memory_too(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, data_dir=tmp_path / "data", database_url="sqlite:///:memory:")  # pyright: ignore[reportCallIssue]

    assert re.fullmatch("[0-9a-f]{64}", load_keyring(settings).current)
    assert load_keyring(settings).current != load_keyring(settings).current
    assert not (tmp_path / "data").exists()


def test_a_file_system_may_have_no_links_and_no_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    for name in ("link", "symlink", "rename", "replace", "chmod", "fchmod"):
        monkeypatch.setattr(os, name, refuse)

    assert secret_in(tmp_path) == secret_in(tmp_path)


def test_processes_that_start_at_once_have_one_secret(tmp_path: Path) -> None:
    with ProcessPoolExecutor(8, mp_context=get_context("spawn")) as processes:
        made = list(processes.map(secret_in, [tmp_path] * 16))

    assert len(set(made)) == 1


def test_a_process_waits_for_the_secret_that_another_is_writing(tmp_path: Path) -> None:
    file = tmp_path / "jwt_secret"
    file.touch()
    writing = Timer(0.1, file.write_text, ["s" * 64])
    writing.start()

    assert secret_in(tmp_path) == "s" * 64
    writing.join()


@pytest.mark.parametrize("content", [b"", b"\n \n", b"too short", "ä".encode() * 40, b"\xff" * 64])
def test_a_file_without_a_usable_secret_is_one_line_that_names_it_and_does_not_quote_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.setattr(keys, "_WRITTEN_WITHIN_SECONDS", 0)
    (tmp_path / "jwt_secret").write_bytes(content)

    with pytest.raises(ConfigurationError, match="JWT_SECRET") as caught:
        secret_in(tmp_path)

    assert str(tmp_path / "jwt_secret") in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert "too short" not in str(caught.value)
    assert (tmp_path / "jwt_secret").read_bytes() == content


def test_a_file_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "jwt_secret").mkdir()

    with pytest.raises(ConfigurationError, match="jwt_secret can't be read: Is a directory"):
        secret_in(tmp_path)


def test_a_disk_without_room_leaves_no_empty_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(os, "write", fail)
        with pytest.raises(ConfigurationError, match="No space left"):
            secret_in(tmp_path)

    assert list(tmp_path.iterdir()) == []
