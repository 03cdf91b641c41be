"""Reserves the disk space of the files in which workers share their metrics.

`prometheus_client` maps files into memory that have no disk space yet. If there is none left, because the folder for
temporary files is full, say, a write to such memory kills the process (SIGBUS). With the space reserved, there is an
`OSError` instead, when the file is made or grows.
"""

import os
from contextlib import suppress
from pathlib import Path

from prometheus_client import values
from prometheus_client.mmap_dict import _INITIAL_MMAP_SIZE, MmapedDict
from typing_extensions import override

_ENTRY_OVERHEAD_BYTES = 4 + 8 + 16


class ReservedFile(MmapedDict):
    """A file of metrics whose disk space is reserved before it is used."""

    def __init__(self, filename: str, *, read_mode: bool = False) -> None:
        if not read_mode:
            _reserve(filename)
        super().__init__(filename, read_mode)  # type: ignore[no-untyped-call]

    @override
    def _init_value(self, key: str) -> None:
        size, needed = self._capacity, self._used + len(key.encode()) + _ENTRY_OVERHEAD_BYTES
        while needed > size:
            size *= 2
        if size > self._capacity and self._f is not None:
            os.posix_fallocate(self._f.fileno(), 0, size)
        super()._init_value(key)  # type: ignore[no-untyped-call]


def _reserve(filename: str) -> None:
    file = os.open(filename, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        os.posix_fallocate(file, 0, max(_INITIAL_MMAP_SIZE, os.fstat(file).st_size))
    except OSError:
        # Other workers could not read a file that is unfinished.
        with suppress(OSError):
            Path(filename).unlink()
        raise
    finally:
        os.close(file)


values.MmapedDict = ReservedFile  # type: ignore[attr-defined,assignment]
