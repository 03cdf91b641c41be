"""The service against its document, from outside: requests that it allows, that it does not, and chains of them.

`FUZZ_SECONDS` says how long each run takes, `FUZZ_SEED` what is tried; `make fuzz` runs long ones.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.server import ROOT, environment, migrate, serving
from tests.services import fresh_mariadb_database

SEED = os.environ.get("FUZZ_SEED", "1")
BUDGET = ["--max-time", os.environ["FUZZ_SECONDS"]] if "FUZZ_SECONDS" in os.environ else []
CONFIGURATION = ROOT / "tests/fuzz/schemathesis.toml"
SETTINGS = {"WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8", "FAILURE_LIMITS": "10000/minute"}


@pytest.fixture(params=["sqlite", "mariadb"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        with serving(tmp_path, settings=SETTINGS) as server:
            yield server.url
        return
    with fresh_mariadb_database() as database:
        settings = SETTINGS | {"DATABASE_URL": database.render_as_string(hide_password=False)}
        migrate(tmp_path, **settings)
        with serving(tmp_path, settings=settings) as server:
            yield server.url


def test_the_service_keeps_to_its_document(url: str, tmp_path: Path) -> None:
    schemathesis = Path(sys.executable).with_name("st")
    # Coverage is the service's: measured itself, the fuzzer would take twice as long.
    unmeasured = {name: value for name, value in environment().items() if name != "COVERAGE_PROCESS_CONFIG"}
    ran = subprocess.run(
        [schemathesis, f"--config-file={CONFIGURATION}", "run", f"{url}/openapi.json", "--seed", SEED, *BUDGET],
        cwd=tmp_path,
        env=unmeasured,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout
    assert re.search(r"Selected: (\d+)/\1\s+Tested: \1\s", ran.stdout), ran.stdout
