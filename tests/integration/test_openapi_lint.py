"""The OpenAPI document, as a linter sees it."""

import subprocess
from pathlib import Path

from tests.tools import node_modules

ROOT = Path(__file__).resolve().parents[2]


def test_the_document_is_good_openapi() -> None:
    redocly = node_modules() / ".bin/redocly"
    ran = subprocess.run(
        [redocly, "lint", "--config=tests/tools/redocly.yaml", "docs/openapi.json"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout
