"""What tests use from npm: `package.json` names it, and it is installed where a test first asks for it."""

import shutil
import subprocess
from pathlib import Path

from tests.services import missing

_FOLDER = Path(__file__).parent


def node_modules() -> Path:
    """Return the folder that holds what `package.json` names; bringing it up to date takes seconds."""
    npm = shutil.which("npm")
    if npm is None:
        missing("npm", "it is not installed")
    folder = _FOLDER / "node_modules"
    wanted, installed = _FOLDER / "package.json", folder / "installed.json"
    if installed.exists() and installed.read_bytes() == wanted.read_bytes():
        return folder
    ran = subprocess.run(
        [npm, "install", "--no-audit", "--no-fund"], cwd=_FOLDER, capture_output=True, text=True, check=False
    )
    if ran.returncode != 0:
        missing("what npm installs", ran.stderr)
    shutil.copy(wanted, installed)
    return folder
