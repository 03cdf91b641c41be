"""What a process loads when it starts, which is time and memory that each of them pays for."""

import os
import subprocess
import sys
from pathlib import Path

CODE = """
import sys
from app.server.serving import ServerConfig
ServerConfig("app.application:create_app", factory=True).load()
print(*{name.partition(".")[0] for name in sys.modules})
"""


def test_what_few_processes_need_is_not_loaded_at_the_start(tmp_path: Path) -> None:
    settings = os.environ | {"DATA_DIR": str(tmp_path), "ENVIRONMENT": "development"}
    run = subprocess.run([sys.executable, "-c", CODE], env=settings, check=True, capture_output=True, timeout=60)
    loaded = run.stdout.decode().split()

    assert {"litestar", "sqlalchemy", "httptools"}.issubset(loaded)
    assert {"redis", "websockets", "zxcvbn"}.isdisjoint(loaded)
