"""The machine that is measured."""

import os
import platform
from pathlib import Path


def processor() -> str:
    """Return the number of processors, and their name."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{os.cpu_count()} × {names[0] if names else platform.machine()}"
