"""What a process loads when it starts, which is time and memory that each of them pays for."""

import subprocess
import sys


def test_what_few_processes_need_is_not_loaded_at_the_start() -> None:
    code = "import app.application, sys; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60).stdout

    assert {"redis", "zxcvbn"}.isdisjoint(loaded.split())
    assert {"litestar", "sqlalchemy"}.issubset(loaded.split())
