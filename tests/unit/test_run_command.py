"""What is prepared before several workers start."""

import os
import tempfile
from pathlib import Path

import pytest

from app.commands import run
from app.telemetry.metrics import DIRECTORY_VARIABLE


def test_several_workers_on_a_read_only_file_system_start_and_are_told_what_they_lack(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # It is put back at the end.
    monkeypatch.setenv(DIRECTORY_VARIABLE, "")
    monkeypatch.delenv(DIRECTORY_VARIABLE)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))

    with run._sharing_metrics(2), pytest.raises(OSError, match="Not a directory"):
        Path(os.environ[DIRECTORY_VARIABLE]).mkdir(parents=True)

    assert DIRECTORY_VARIABLE in caplog.text
