"""What a process holds in memory (Linux)."""

from pathlib import Path


def reset_peak(process: int) -> int:
    """Forget the most that was resident, and return what is now, in bytes."""
    Path(f"/proc/{process}/clear_refs").write_text("5")
    return resident(process)


def resident(process: int) -> int:
    """Return what is resident, in bytes."""
    return _resident(process, "VmRSS")


def peak(process: int) -> int:
    """Return the most that was resident since the reset, in bytes."""
    return _resident(process, "VmHWM")


def _resident(process: int, field: str) -> int:
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition(f"{field}:")[2].split()[0]) * 1024
