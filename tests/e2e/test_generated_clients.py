"""Clients that are generated from the document of the running service, and used."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.server import ROOT, environment, serving
from tests.tools import node_modules

PROGRAMS = ROOT / "tests/clients"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("server")) as server:
        yield server.url


def run(*command: str | Path, cwd: Path) -> None:
    ran = subprocess.run(
        command, cwd=cwd, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout


def test_a_python_client_does_all_that_a_person_does(url: str, tmp_path: Path) -> None:
    generator = Path(sys.executable).with_name("openapi-python-client")
    options = ["--config", str(PROGRAMS / "python.yaml"), "--meta", "none", "--output-path", "postline"]
    run(generator, "generate", "--url", f"{url}/openapi.json", *options, "--fail-on-warning", cwd=tmp_path)
    shutil.copy(PROGRAMS / "program.py", tmp_path)

    run(sys.executable, "-W", "error", "program.py", url, cwd=tmp_path)


def test_a_typescript_client_does_all_that_a_person_does(url: str, tmp_path: Path) -> None:
    installed = node_modules()
    (tmp_path / "node_modules").symlink_to(installed)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    shutil.copy(PROGRAMS / "program.ts", tmp_path)
    run(installed / ".bin/openapi-typescript", f"{url}/openapi.json", "--output", "postline.d.ts", cwd=tmp_path)
    options = ["--strict", "--noEmitOnError", "--module", "nodenext", "--target", "es2022"]
    run(installed / ".bin/tsc", *options, "program.ts", cwd=tmp_path)

    run("node", "program.js", url, cwd=tmp_path)
