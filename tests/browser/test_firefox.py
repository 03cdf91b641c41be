"""The page in Firefox, which Playwright would want changed; Puppeteer drives it as it is."""

import shutil
import subprocess
from pathlib import Path

from tests.e2e.server import Server
from tests.services import program
from tests.tools import node_modules


def run_in_firefox(script: str, server: Server, folder: Path) -> None:
    (folder / "node_modules").symlink_to(node_modules())
    copy = shutil.copy(Path(__file__).with_name(script), folder)
    firefox = program("firefox-esr")
    ran = subprocess.run(["node", copy, server.url, firefox], capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stderr


def test_in_firefox_too_a_window_shows_at_once_what_happens_in_another(server: Server, tmp_path: Path) -> None:
    run_in_firefox("firefox-windows.mjs", server, tmp_path)


def test_firefox_too_keeps_the_page_for_times_without_a_network(server: Server, tmp_path: Path) -> None:
    run_in_firefox("firefox-offline.mjs", server, tmp_path)
