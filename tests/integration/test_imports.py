"""What a process loads when it starts, which is time and memory that each of them pays for."""

import os
import subprocess
import sys
from pathlib import Path
from secrets import token_hex

from tests.e2e.server import ROOT

CODE = """
import sys
from app.server.serving import ServerConfig
ServerConfig("app.application:create_app", factory=True).load()
print(*{name.partition(".")[0] for name in sys.modules})
"""


def test_what_few_processes_need_is_not_loaded_at_the_start(tmp_path: Path) -> None:
    # Away from the checkout's `.env`, which may name a Redis.
    run = subprocess.run(
        [sys.executable, "-c", CODE],
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "DATA_DIR": str(tmp_path),
            # Elsewhere, mails are files.
            "ENVIRONMENT": "production",
            "JWT_SECRET": token_hex(32),
        },
        check=True,
        capture_output=True,
        timeout=60,
    )
    loaded = run.stdout.decode().split()

    assert {"litestar", "sqlalchemy", "httptools"}.issubset(loaded)
    assert {"redis", "websockets", "zxcvbn", "alembic", "jinja2"}.isdisjoint(loaded)
