"""The page in Firefox, which Playwright would want changed; Puppeteer drives it as it is."""

import shutil
import subprocess
from pathlib import Path

from tests.e2e.server import Server
from tests.services import program
from tests.tools import node_modules


def test_in_firefox_too_a_window_shows_at_once_what_happens_in_another(server: Server, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(node_modules())
    firefox = program("firefox-esr")
    script = shutil.copy(Path(__file__).with_name("firefox.mjs"), tmp_path)

    ran = subprocess.run(
        ["node", script, server.url, firefox], capture_output=True, text=True, timeout=120, check=False
    )

    assert ran.returncode == 0, ran.stderr
