"""What has to be there before several workers start."""

import tempfile
from pathlib import Path

import pytest

from app.commands import run
from app.telemetry.metrics import DIRECTORY_VARIABLE


def test_several_workers_on_a_read_only_file_system_are_told_what_they_lack(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(DIRECTORY_VARIABLE, raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))

    with pytest.raises(SystemExit, match=DIRECTORY_VARIABLE), run._sharing_metrics(2):
        pass
