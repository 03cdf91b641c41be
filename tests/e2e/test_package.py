"""The wheel, installed as an operator would: in an environment with what it needs, and used in a folder of its own."""

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZipFile

import httpx
import pytest

from app import __version__
from tests.e2e.server import ROOT, START_SECONDS, STOP_SECONDS, Client, environment, free_port, wait_until_served
from tests.services import missing

PACKAGES = ("app", "controllers", "events", "migrations", "models")
BUILD_SECONDS = 300


@pytest.fixture(scope="module")
def uv() -> str:
    path = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    return path or missing("uv", "make installs it")


@pytest.fixture(scope="module")
def wheel(uv: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if find_spec("hatchling") is None:
        missing("hatchling", "it comes with the test group")
    folder = tmp_path_factory.mktemp("wheel")
    # The build backend is the pinned one that is installed here.
    isolation = ("--no-build-isolation", "--python", sys.executable, "--offline")
    # From the source archive, which is published too.
    finish(uv, "build", "--quiet", *isolation, "--out-dir", str(folder), str(ROOT))
    [wheel] = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def postline(uv: str, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of the command in an environment that has the wheel and the pinned versions of what it needs."""
    folder = tmp_path_factory.mktemp("installed")
    python = str(folder / "bin" / "python")
    finish(uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(folder))
    pinned = ("--require-hashes", "--requirements", str(ROOT / "requirements" / "app.txt"))
    finish(uv, "pip", "install", "--quiet", "--python", python, *pinned)
    finish(uv, "pip", "install", "--quiet", "--python", python, "--no-deps", str(wheel))
    finish(uv, "pip", "check", "--quiet", "--python", python)
    return str(folder / "bin" / "postline")


@pytest.fixture
def url(postline: str, tmp_path: Path) -> Iterator[str]:
    """The address of `postline run` in an empty folder."""
    url = f"http://127.0.0.1:{free_port()}"
    with (
        httpx.Client(base_url=url) as client,
        subprocess.Popen([postline, "run", "--port", url.rpartition(":")[2]], cwd=tmp_path, env=bare()) as process,
    ):
        try:
            wait_until_served(client, process)
            yield url
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)


def supported_versions() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    language = "Programming Language :: Python :: "
    return [name.removeprefix(language) for name in project["classifiers"] if name.startswith(language)]


def bare(**settings: str) -> dict[str, str]:
    """Return an environment in which nothing leads to the checkout."""
    return {name: value for name, value in environment(**settings).items() if not name.startswith("PYTHON")} | settings


def finish(*command: str, cwd: Path = ROOT, **settings: str) -> str:
    ended = subprocess.run(
        command, cwd=cwd, env=bare(**settings), capture_output=True, text=True, timeout=BUILD_SECONDS, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_it_holds_each_file_of_the_packages_in_one_folder(wheel: Path) -> None:
    files = {path.relative_to(ROOT) for name in PACKAGES for path in (ROOT / name).rglob("*.*")}
    named = {f"postline/{path}" for path in files if "__pycache__" not in path.parts}
    with ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}

    assert held == {"postline/__main__.py", "postline/alembic.ini", *named}


@pytest.mark.parametrize("version", supported_versions())
def test_every_pin_has_a_wheel_for_each_supported_python(uv: str, tmp_path: Path, version: str) -> None:
    wheels = ("--dry-run", "--require-hashes", "--only-binary", ":all:", "--python-version", version)
    where = ("--python", sys.executable, "--target", str(tmp_path))

    finish(uv, "pip", "install", *wheels, *where, "--requirements", str(ROOT / "requirements" / "test.txt"))


def test_it_serves_from_an_empty_folder(url: str, tmp_path: Path) -> None:
    ada = Client.sign_up(url, "ada@example.com")
    ada.add("hello")

    assert [post["text"] for post in ada.list()] == ["hello"]
    for path in ("/", "/docs", "/docs/assets/swagger-ui.css"):
        assert httpx.get(f"{url}{path}").status_code == 200
    assert httpx.get(f"{url}/openapi.json").json()["info"]["version"] == __version__
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


def test_its_commands_are_those_of_the_checkout(postline: str, tmp_path: Path) -> None:
    assert finish(postline, "--version", cwd=tmp_path) == f"Postline, version {__version__}\n"
    assert finish(postline, "version", cwd=tmp_path).startswith(f"Postline {__version__} (Litestar ")
    assert "/posts/{postID:uuid}" in finish(postline, "routes", cwd=tmp_path)

    finish(postline, "migrate", "up", cwd=tmp_path)
    typed = subprocess.run(
        [postline, "users", "create", "ada@example.com"],
        cwd=tmp_path,
        env=bare(),
        input="correct horse battery\n",
        text=True,
        timeout=START_SECONDS,
        check=False,
    )

    assert typed.returncode == 0
    assert "ada@example.com" in finish(postline, "users", "list", cwd=tmp_path)


def test_packages_of_the_same_names_elsewhere_are_not_taken_for_its_own(postline: str, tmp_path: Path) -> None:
    for name in PACKAGES:
        (tmp_path / f"{name}.py").write_text("raise SystemExit('somebody else')")

    assert __version__ in finish(postline, "version", cwd=tmp_path, PYTHONPATH=str(tmp_path))
